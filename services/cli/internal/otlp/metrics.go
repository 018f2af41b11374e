package otlp

import (
	colmetrics "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	metricsv1 "go.opentelemetry.io/proto/otlp/metrics/v1"
)

// tokenMetric counts the tokens of Claude Code's calls, as differences unless its user configured otherwise.
const tokenMetric = "claude_code.token.usage"

// measured adds up the tokens that an export of metrics tells. Cumulative sums repeat what was told before and are left
// out: they cannot be compared call by call.
func measured(request *colmetrics.ExportMetricsServiceRequest) (tokens int64) {
	for _, resource := range request.GetResourceMetrics() {
		for _, scope := range resource.GetScopeMetrics() {
			for _, metric := range scope.GetMetrics() {
				sum := metric.GetSum()
				if metric.GetName() != tokenMetric || sum.GetAggregationTemporality() != metricsv1.AggregationTemporality_AGGREGATION_TEMPORALITY_DELTA {
					continue
				}
				for _, point := range sum.GetDataPoints() {
					tokens += point.GetAsInt() + int64(point.GetAsDouble())
				}
			}
		}
	}
	return tokens
}
