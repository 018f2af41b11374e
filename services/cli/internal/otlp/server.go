package otlp

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net"
	"net/http"
	"time"

	collogs "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	colmetrics "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	_ "google.golang.org/grpc/encoding/gzip" // exporters may compress
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// Bounds of one request.
const (
	maxBodyBytes  = 16 << 20
	headerTimeout = 10 * time.Second
	recordTimeout = 30 * time.Second
	closeTimeout  = 5 * time.Second
)

// Serve takes exports on two listeners until ctx ends: HTTP (protobuf and JSON, /v1/logs and /v1/metrics) and gRPC.
func (r *Receiver) Serve(ctx context.Context, overHTTP, overGRPC net.Listener) error {
	web := &http.Server{
		Handler: r.Handler(), ReadHeaderTimeout: headerTimeout, ErrorLog: slog.NewLogLogger(r.Log.Handler(), slog.LevelDebug),
	}
	rpc := grpc.NewServer(grpc.MaxRecvMsgSize(maxBodyBytes))
	collogs.RegisterLogsServiceServer(rpc, &logsService{receiver: r})
	colmetrics.RegisterMetricsServiceServer(rpc, &metricsService{receiver: r})
	ended := make(chan error, 2)
	go func() { ended <- web.Serve(overHTTP) }()
	go func() { ended <- rpc.Serve(overGRPC) }()
	var err error
	select {
	case err = <-ended:
	case <-ctx.Done():
	}
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	stop := context.AfterFunc(closing, rpc.Stop)
	defer stop()
	rpc.GracefulStop()
	err = errors.Join(err, web.Shutdown(closing))
	if errors.Is(err, http.ErrServerClosed) || errors.Is(err, grpc.ErrServerStopped) {
		return nil
	}
	return err
}

// Handler serves exports over HTTP.
func (r *Receiver) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/logs", func(w http.ResponseWriter, req *http.Request) {
		take(w, req, &collogs.ExportLogsServiceRequest{}, r.logs)
	})
	mux.HandleFunc("POST /v1/metrics", func(w http.ResponseWriter, req *http.Request) {
		take(w, req, &colmetrics.ExportMetricsServiceRequest{}, r.metrics)
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "usage is read from logs and metrics: POST /v1/logs or /v1/metrics", http.StatusNotFound)
	})
	return mux
}

func (r *Receiver) logs(ctx context.Context, request *collogs.ExportLogsServiceRequest) (*collogs.ExportLogsServiceResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, recordTimeout)
	defer cancel()
	found, other, unreadable := calls(request)
	refused, err := r.record(ctx, found, other, unreadable)
	if err != nil {
		return nil, err
	}
	return &collogs.ExportLogsServiceResponse{PartialSuccess: refused}, nil
}

func (r *Receiver) metrics(_ context.Context, request *colmetrics.ExportMetricsServiceRequest) (*colmetrics.ExportMetricsServiceResponse, error) {
	r.count(Tally{Measured: measured(request)})
	return &colmetrics.ExportMetricsServiceResponse{}, nil
}

// take reads a request in the encoding that it names, has it done, and answers in the same encoding. What fails for now
// is answered so that the exporter sends it again.
func take[Request, Response proto.Message](w http.ResponseWriter, req *http.Request, in Request, do func(context.Context, Request) (Response, error)) {
	encoding, _, err := mime.ParseMediaType(req.Header.Get("Content-Type"))
	if err != nil || encoding != "application/x-protobuf" && encoding != "application/json" {
		http.Error(w, "send application/x-protobuf or application/json", http.StatusUnsupportedMediaType)
		return
	}
	body, err := read(w, req)
	if err == nil {
		err = decode(encoding, body, in)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	out, err := do(req.Context(), in)
	if err != nil {
		w.Header().Set("Retry-After", "1")
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	answer, err := encode(encoding, out)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", encoding)
	_, _ = w.Write(answer) // an exporter that is gone sends it again
}

func read(w http.ResponseWriter, req *http.Request) ([]byte, error) {
	var in io.Reader = http.MaxBytesReader(w, req.Body, maxBodyBytes)
	switch encoding := req.Header.Get("Content-Encoding"); encoding {
	case "", "identity":
	case "gzip":
		unzipped, err := gzip.NewReader(in)
		if err != nil {
			return nil, fmt.Errorf("the body is not gzip: %w", err)
		}
		in = unzipped
	default:
		return nil, fmt.Errorf("content encoding %q is not known; send gzip or none", encoding)
	}
	body, err := io.ReadAll(io.LimitReader(in, maxBodyBytes+1))
	if err == nil && len(body) > maxBodyBytes {
		err = fmt.Errorf("more than %d bytes in one request: send smaller batches", maxBodyBytes)
	}
	return body, err
}

func decode(encoding string, body []byte, in proto.Message) error {
	if encoding == "application/json" {
		// Ids of traces are hexadecimal here and not base64; they are not looked at.
		return protojson.UnmarshalOptions{DiscardUnknown: true}.Unmarshal(body, in)
	}
	return proto.Unmarshal(body, in)
}

func encode(encoding string, out proto.Message) ([]byte, error) {
	if encoding == "application/json" {
		return protojson.Marshal(out)
	}
	return proto.Marshal(out)
}

type logsService struct {
	collogs.UnimplementedLogsServiceServer
	receiver *Receiver
}

// Export implements the service of the protocol.
func (s *logsService) Export(ctx context.Context, request *collogs.ExportLogsServiceRequest) (*collogs.ExportLogsServiceResponse, error) {
	response, err := s.receiver.logs(ctx, request)
	if err != nil {
		return nil, status.Error(codes.Unavailable, err.Error())
	}
	return response, nil
}

type metricsService struct {
	colmetrics.UnimplementedMetricsServiceServer
	receiver *Receiver
}

// Export implements the service of the protocol.
func (s *metricsService) Export(ctx context.Context, request *colmetrics.ExportMetricsServiceRequest) (*colmetrics.ExportMetricsServiceResponse, error) {
	return s.receiver.metrics(ctx, request)
}
