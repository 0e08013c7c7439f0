package exporter

import "testing"

// The header of an export is no line, neither when it is read nor when it
// would be missed: an agent that goes on behind it knows the columns.
func TestAgent_CSV(t *testing.T) {
	b := newBench(t, newReceiver(t))
	b.keys = "sources:\n" + b.source("csv", "avi-csv", "0.csv")
	const first, second = "2024-11-05T09:30:12.000001+00:00,shop,GET,\"a\n\n\nb\"", "2024-11-05T09:30:13.000001+00:00,shop,GET,c"
	b.append("0.csv", "report_timestamp,vs_name,method,user_agent", first)
	if err := b.once(); err != nil {
		t.Fatal(err)
	}
	b.arrived(first)
	b.balances("csv", counts{"read": 1, "parsed": 1, "shipped": 1})
	b.append("0.csv", second, "shop,too few")
	if err := b.once(); err != nil {
		t.Fatal(err)
	}
	b.arrived(first, second, "shop,too few")
	b.balances("csv", counts{"read": 2, "parsed": 1, "unparsed": 1, "shipped": 2})
}
