// Package dashboards checks deployments/grafana: that the dashboards are whole and ask the data sources that are provisioned,
// and that Prometheus understands their queries and finds what they ask for.
//
// With the build tag dashboards it starts a whole Bursar, lets a fleet work, and evaluates each PromQL query with
// Prometheus' own engine over what /metrics said meanwhile, so that no panel names a metric or a label that does not exist.
// `make test` does that. The SQL of the dashboards is run by services/analytics, which has ClickHouse at hand.
package dashboards
