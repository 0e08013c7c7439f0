package tail

import (
	"os"
	"strings"
	"testing"

	"github.com/corkline/corkline/parsers"
	"github.com/google/go-cmp/cmp"
)

// joined is a bench whose records begin with a head: >.
func joined(t *testing.T, limit int) *bench {
	t.Helper()
	d, faults := parsers.ParseDefinition("", []byte("name: x\nframe: {head: '^>'}\nlayouts: [{name: l, regex: '^(?P<all>(?s:.*))$'}]\n"))
	if err := faults.Err(); err != nil {
		t.Fatal(err)
	}
	b := newBench(t, "np.log")
	b.options.Framer = d.NewFramer(limit)
	b.reload()
	return b
}

// A record may go on until the next one begins, or nothing comes for a while;
// until then its lines stay in the file.
func TestJoin(t *testing.T) {
	b := joined(t, 4096)
	b.append("np.log", ">a\n1\n>b\n2\n")
	b.scan()
	b.fill(Ship, ">a\n1")
	b.commit()
	b.fill(Ship)
	b.append("np.log", "3\n\n4\n>c\n")
	b.scan()
	b.fill(Ship, ">b\n2\n3\n4")
	b.now = b.now.Add(openTime - 1)
	b.scan()
	b.fill(Ship)
	b.now = b.now.Add(1)
	b.scan()
	b.fill(Ship, ">c")
	b.commit()
	b.append("np.log", ">d\nhal")
	b.now = b.now.Add(openTime)
	b.scan()
	b.fill(Ship) // its file has just changed
	b.now = b.now.Add(openTime)
	b.scan()
	b.fill(Ship, ">d") // without the line that is incomplete
	b.stop()
	b.start()
	b.scan()
	b.fill(Ship)
	b.now = b.now.Add(openTime)
	b.scan()
	b.fill(Ship, ">d") // was not committed
	b.commit()
}

// A rotated file's last record is complete when the file is quiet, and what
// comes behind it in time is delivered behind it.
func TestJoin_Rotation(t *testing.T) {
	b := joined(t, 4096)
	b.append("np.log", ">a\n1\n")
	b.scan()
	b.fill(Ship)
	b.rename("np.log", "np.log.1")
	b.append("np.log", ">b\n>c\n")
	b.scan()
	b.fill(Ship, ">b")
	b.commit()
	b.now = b.now.Add(quietTime)
	b.scan()
	b.fill(Ship, ">a\n1", ">c")
	b.commit()
}

// A record that is larger than the buffer is cut, and the next is whole.
func TestJoin_Large(t *testing.T) {
	b := joined(t, 4096)
	b.buffer = NewBuffer(8192)
	line := strings.Repeat("x", 1023) + "\n"
	b.append("np.log", ">a\n"+strings.Repeat(line, 20)+">b\n>c\n")
	b.scan()
	var got []string
	for range 20 {
		b.do(b.tailer.Fill(b.buffer, Ship))
		for _, c := range b.buffer.Chunks {
			for _, l := range c.Lines {
				if len(l.Text) > 4096 {
					t.Errorf("%d bytes", len(l.Text))
				}
				got = append(got, string(l.Text[:min(len(l.Text), 2)]))
			}
		}
		b.commit()
	}
	// The end of what was cut makes records of its own: nothing is left out.
	if said := strings.Join(got, " "); !strings.HasPrefix(said, ">a xx") || !strings.HasSuffix(said, " >b") {
		t.Errorf("records %s", said)
	}
}

// Lines behind a full buffer do not end a record that goes on in the next.
func TestJoin_FullBuffer(t *testing.T) {
	b := joined(t, 4096)
	b.buffer = NewBuffer(8192)
	record := ">" + strings.Repeat("x", 999) + "\n" + strings.Repeat("y", 999) + "\n"
	b.append("np.log", strings.Repeat(record, 50)+">\n")
	b.scan()
	n := 0
	for range 100 {
		b.do(b.tailer.Fill(b.buffer, Ship))
		for _, c := range b.buffer.Chunks {
			for _, l := range c.Lines {
				if len(l.Text) != 2000 {
					t.Fatalf("record %d has %d bytes", n, len(l.Text))
				}
				n++
			}
		}
		b.commit()
	}
	if n != 50 {
		t.Errorf("%d records, not 50", n)
	}
}

// The rows of each file are read with its own header, also when reading goes
// on in the middle of it. Headers are no records.
func TestJoin_Header(t *testing.T) {
	d, faults := parsers.ParseDefinition("", []byte("name: x\nlayouts: [{name: l, csv: {id: id, name: name}}]\n"))
	if err := faults.Err(); err != nil {
		t.Fatal(err)
	}
	b := newBench(t, "*.csv")
	b.options.Framer = d.NewFramer(4096)
	b.reload()
	parser := d.NewParser()
	rows := func(want ...string) {
		t.Helper()
		b.scan()
		b.do(b.tailer.Fill(b.buffer, Ship))
		var got []string
		for _, c := range b.buffer.Chunks {
			for _, l := range c.Lines {
				r := parsers.Record{Line: l.Text, Header: l.Header}
				b.do(parser.Parse(&r))
				got = append(got, string(r.Value(d.FieldIndex("id")))+" "+string(r.Value(d.FieldIndex("name"))))
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("rows (-want +got):\n%s", diff)
		}
		b.commit()
	}
	b.append("a.csv", "id,na")
	rows()
	b.append("a.csv", "me\n")
	rows()
	b.append("a.csv", "1,x\n")
	b.append("b.csv", "n,name,id\n0,\"y\n\",2\n")
	rows("1 x", "2 y\n")
	b.append("a.csv", "id,name\n3,z\n4,\"w\nw")
	rows("3 z")
	b.stop()
	b.start()
	b.append("a.csv", "w\"\n5,v\n")
	b.append("b.csv", "0,u,6\n")
	rows("4 w\nww", "5 v", "6 u")
	// What takes a file's place has its own.
	b.do(os.WriteFile(b.path("a.csv"), []byte("name,id\nt,7\n"), 0o600))
	rows("7 t")
	// Of a header that is too long the columns are known that are left of it.
	b.append("c.csv", "id,"+strings.Repeat("x", 5000)+"\n8,s\n")
	rows("8 ")
}
