// otlp: says whether what is on standard input, a request of an OTLP/HTTP exporter on each line, is
// what the published opentelemetry/proto/trace/v1/trace.proto allows. TracesData has the same fields
// as ExportTraceServiceRequest.
package main

import (
	"bufio"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"

	trace "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/encoding/protojson"
)

// Ids are hexadecimal in OTLP's JSON, and base64 in protobuf's.
func convert(v any) error {
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			if err := convert(e); err != nil {
				return err
			}
		}
	case map[string]any:
		for k, e := range v {
			if k == "traceId" || k == "spanId" || k == "parentSpanId" {
				raw, err := hex.DecodeString(fmt.Sprint(e))
				if err != nil {
					return fmt.Errorf("%s: %w", k, err)
				}
				v[k] = base64.StdEncoding.EncodeToString(raw)
			} else if err := convert(e); err != nil {
				return err
			}
		}
	}
	return nil
}

func check(line []byte) error {
	var v any
	if err := json.Unmarshal(line, &v); err != nil {
		return err
	}
	if err := convert(v); err != nil {
		return err
	}
	line, err := json.Marshal(v)
	if err != nil {
		return err
	}
	var data trace.TracesData
	if err := protojson.Unmarshal(line, &data); err != nil {
		return err
	}
	for _, r := range data.ResourceSpans {
		for _, s := range r.ScopeSpans {
			for _, span := range s.Spans {
				if len(span.TraceId) != 16 || len(span.SpanId) != 8 || (len(span.ParentSpanId)|8) != 8 {
					return fmt.Errorf("ids of span %q", span.Name)
				}
				if span.Name == "" || span.EndTimeUnixNano < span.StartTimeUnixNano {
					return fmt.Errorf("span %v", span)
				}
			}
		}
	}
	return nil
}

func main() {
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(nil, 4<<20)
	n := 0
	for ; in.Scan(); n++ {
		if err := check(in.Bytes()); err != nil {
			fmt.Fprintf(os.Stderr, "line %d: %v\n", n+1, err)
			os.Exit(1)
		}
	}
	if in.Err() != nil || n == 0 {
		fmt.Fprintln(os.Stderr, "nothing to read:", in.Err())
		os.Exit(1)
	}
}
