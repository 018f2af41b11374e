module github.com/bursarhq/bursar/schemas

go 1.26.0
