package estimate_test

import (
	"fmt"

	"github.com/bursarhq/bursar/pkg/estimate"
)

func ExampleFor() {
	e, err := estimate.For(estimate.Task{
		Type: estimate.CodeReview, Complexity: estimate.High, Files: 20, Conservative: true,
	})
	fmt.Println(e.InputTokens, e.OutputTokens, e.TotalTokens, e.Priority, err)
	// Output: 23400 7800 31200 normal <nil>
}
