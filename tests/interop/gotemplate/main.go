// Compares our template engine with Go's text/template: every template of cases.txt is executed
// by both on the same JSON, and output and error text must be equal.
//
//	go run ./tests/interop/gotemplate build/tests/interop/template_lines
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"text/template"
)

// docker's additions, as its documentation describes them.
var funcs = template.FuncMap{
	"json": func(v any) string {
		var b bytes.Buffer
		enc := json.NewEncoder(&b)
		enc.SetEscapeHTML(false)
		_ = enc.Encode(v)
		return strings.TrimSpace(b.String())
	},
	"split": strings.Split,
	"join": func(v any, sep string) string {
		var words []string
		switch list := v.(type) {
		case []string:
			words = list
		case []any:
			for _, w := range list {
				words = append(words, fmt.Sprint(w))
			}
		}
		return strings.Join(words, sep)
	},
	"title": strings.Title,
	"lower": strings.ToLower,
	"upper": strings.ToUpper,
	"pad": func(s string, before, after int) string {
		if s == "" {
			return s
		}
		return strings.Repeat(" ", before) + s + strings.Repeat(" ", after)
	},
	"truncate": func(s string, n int) string {
		if len(s) < n {
			return s
		}
		return s[:n]
	},
}

// plain turns json.Number into int or float64, which is what a Go struct would hold.
func plain(v any) any {
	switch v := v.(type) {
	case json.Number:
		if i, err := v.Int64(); err == nil {
			return int(i)
		}
		f, _ := v.Float64()
		return f
	case []any:
		for i := range v {
			v[i] = plain(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = plain(v[k])
		}
	}
	return v
}

type request struct {
	T       string          `json:"t"`
	D       json.RawMessage `json:"d"`
	Missing bool            `json:"missing"`
}

type answer struct{ Out, Err string }

func oracle(r request) (a answer) {
	var out bytes.Buffer
	defer func() { a.Out = out.String() }()
	t := template.New("").Funcs(funcs)
	if r.Missing {
		t.Option("missingkey=error")
	}
	t, err := t.Parse(r.T)
	if err != nil {
		a.Err = err.Error()
		return
	}
	d := json.NewDecoder(bytes.NewReader(r.D))
	d.UseNumber()
	var data any
	if err := d.Decode(&data); err != nil {
		panic(err)
	}
	if err := t.Execute(&out, plain(data)); err != nil {
		a.Err = err.Error()
	}
	return
}

// read takes "# data" and "= JSON" lines, and one template per other line; \n and \t are
// written as «n» and «t».
func read(path string) (list []request) {
	text, err := os.ReadFile(path)
	if err != nil {
		panic(err)
	}
	var data json.RawMessage
	for _, line := range strings.Split(string(text), "\n") {
		switch {
		case line == "" || strings.HasPrefix(line, "# "):
		case strings.HasPrefix(line, "= "):
			data = json.RawMessage(line[2:])
		default:
			t := strings.NewReplacer("«n»", "\n", "«t»", "\t").Replace(line)
			list = append(list, request{t, data, false}, request{t, data, true})
		}
	}
	return
}

func main() {
	_, self, _, _ := runtime.Caller(0)
	list := read(filepath.Join(filepath.Dir(self), "cases.txt"))
	var in bytes.Buffer
	for _, r := range list {
		line, _ := json.Marshal(r)
		in.Write(append(line, '\n'))
	}
	cmd := exec.Command(os.Args[1])
	cmd.Stdin = &in
	cmd.Stderr = os.Stderr
	raw, err := cmd.Output()
	if err != nil {
		fmt.Println("engine:", err)
		os.Exit(1)
	}
	bad := 0
	ours := bufio.NewScanner(bytes.NewReader(raw))
	ours.Buffer(nil, 1<<24)
	for _, r := range list {
		var got answer
		want := oracle(r)
		if !ours.Scan() || json.Unmarshal(ours.Bytes(), &got) != nil {
			fmt.Printf("no answer to %q\n", r.T)
			os.Exit(1)
		}
		if got != want {
			bad++
			fmt.Printf("%s\n  go   %q %s\n  ours %q %s\n", r.T, want.Out, want.Err, got.Out, got.Err)
		}
	}
	fmt.Printf("%d templates, %d differ\n", len(list), bad)
	if bad > 0 {
		os.Exit(1)
	}
}
