module a3s-box/tools/peers/otlp

go 1.26.7

require (
	go.opentelemetry.io/proto/otlp v1.11.1
	google.golang.org/protobuf v1.36.12
)
