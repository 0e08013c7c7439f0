package parsers_test

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/corkline/corkline/parsers"
	"pgregory.net/rapid"
)

// export writes rows below their header.
func export(t interface{ Fatal(...any) }, rows ...[]string) []byte {
	var text bytes.Buffer
	if err := csv.NewWriter(&text).WriteAll(rows); err != nil {
		t.Fatal(err)
	}
	return text.Bytes()
}

// Rows of random values give the values back, whatever columns were asked for
// and in which order. Secrets are in no field and not in the row, nor in any
// part that is left of it when it is cut; all else is as it was.
func TestAVICSV_Random(t *testing.T) {
	set, err := parsers.Shipped()
	if err != nil {
		t.Fatal(err)
	}
	d := set["avi-csv"]
	parser := d.NewParser()
	const secret = "SECRET"
	rapid.Check(t, func(t *rapid.T) {
		plain := rapid.StringOf(rapid.SampledFrom([]rune("ab é,\"'{}[]\n%/?"))) // nothing that names a secret
		hidden := func() string {
			return secret + "0123456789" + rapid.StringOf(rapid.SampledFrom([]rune("aé'\"{}[]%/\\"))).Draw(t, "secret") + secret
		}
		src, _, _ := addresses(t)
		total := strconv.FormatUint(rapid.Uint64().Draw(t, "total_time"), 10)
		code := strconv.Itoa(rapid.IntRange(100, 599).Draw(t, "response_code"))
		inJSON, err := json.Marshal(map[string]any{"Host": plain.Draw(t, "host"), "Cookie": hidden(), "X": []any{map[string]any{"set-cookie": []string{hidden(), hidden()}}}})
		if err != nil {
			t.Fatal(err)
		}
		cells := map[string]string{ // and what they become
			"report_timestamp":     "2024-11-05T09:30:12.345678+00:00",
			"client_ip":            netip.MustParseAddr(src).String(),
			"total_time":           total,
			"response_code":        code,
			"adf":                  rapid.SampledFrom([]string{"True", "False"}).Draw(t, "adf"),
			"user_agent":           plain.Draw(t, "user_agent"),
			"service_engine":       plain.Draw(t, "service_engine"),
			"uri_query":            "a=1&token=" + strings.Map(noParameterEnd, hidden()) + "&b=2",
			"all_request_headers":  "Host: x\nCookie: " + hidden() + "\nAccept: " + plain.Draw(t, "accept"),
			"all_response_headers": string(inJSON),
			"waf_log":              "{'Authorization': '" + strings.ReplaceAll(strings.ReplaceAll(hidden(), `\`, ""), "'", "") + "'}",
			"Set-Cookie":           hidden(),
		}
		columns := rapid.Permutation(slices.Sorted(maps.Keys(cells))).Draw(t, "columns")
		columns = columns[:rapid.IntRange(1, len(columns)).Draw(t, "asked for")]
		row := make([]string, len(columns))
		for i, column := range columns {
			row[i] = cells[column]
		}
		if !slices.ContainsFunc(columns, func(c string) bool { return c != "waf_log" && c != "Set-Cookie" && !strings.HasPrefix(c, "all_") }) {
			return // a header without any column that is known
		}
		all := records(d, export(t, columns, row))
		if len(all) == 0 && strings.Join(row, "") == "" {
			return // an empty row is none
		}
		if len(all) != 1 {
			t.Fatalf("%q: %d records", row, len(all))
		}
		line := all[0].Text
		r := parsers.Record{Line: bytes.Clone(line), Header: all[0].Header}
		if err := parser.Parse(&r); err != nil {
			t.Fatalf("%q: %s", line, err)
		}
		if bytes.Contains(r.Line, []byte(secret)) {
			t.Fatalf("%q shows a secret: %q", line, r.Line)
		}
		want := map[string]string{
			"uri_query": "a=1&token=[redacted]&b=2", "client_ip": cells["client_ip"], "total_time": total, "response_code": code, "code_class": code[:1] + "xx",
			"adf": strings.ToLower(cells["adf"]), "user_agent": cells["user_agent"], "service_engine": cells["service_engine"], "time": cells["report_timestamp"],
		}
		of := map[string]string{"code_class": "response_code", "time": "report_timestamp"}
		for field, value := range want {
			column := field
			if c, ok := of[field]; ok {
				column = c
			}
			if !slices.Contains(columns, column) {
				value = ""
			}
			if got := string(r.Value(d.FieldIndex(field))); got != value {
				t.Fatalf("%q: %s is %q, not %q", line, field, got, value)
			}
		}
		for n := range line {
			r := parsers.Record{Line: bytes.Clone(line[:n]), Header: all[0].Header}
			err := parser.Parse(&r)
			if bytes.Contains(r.Line, []byte(secret)) {
				t.Fatalf("%q shows a secret: %q (%v)", line[:n], r.Line, err)
			}
		}
	})
}

// noParameterEnd leaves out what ends a parameter.
func noParameterEnd(c rune) rune {
	if strings.ContainsRune("&;# \n\t\r\"'\\", c) {
		return -1
	}
	return c
}
