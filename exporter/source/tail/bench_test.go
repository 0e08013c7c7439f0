package tail

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"testing"
)

const npLine = "2026/11/21 10:04:05.123456 AntreaPolicyIngressRule K8sNetworkPolicy:default/allow-web rule-1 Allow 44900 10.10.1.65 35402 10.10.1.66 8080 TCP 60 [1 packets]"

// BenchmarkFill reads a file of network-policy lines, and for comparison does
// so with a bufio.Scanner.
func BenchmarkFill(b *testing.B) {
	const lines = 200_000
	line := fmt.Sprintf("%-156.156s\n", npLine)
	text := strings.Repeat(line, lines)
	perLine := func(b *testing.B) {
		b.ReportMetric(float64(b.N)*lines/b.Elapsed().Seconds(), "lines/s")
	}
	b.Run("Fill", func(b *testing.B) {
		t := newBench(b, "np.log")
		t.append("np.log", text)
		t.buffer = NewBuffer(512 << 10)
		t.scan()
		f := t.tailer.files[0]
		b.SetBytes(int64(len(text)))
		b.ReportAllocs()
		for b.Loop() {
			f.cursors[Ship] = cursor{}
			got := 0
			for {
				if err := t.tailer.Fill(t.buffer, Ship); err != nil {
					b.Fatal(err)
				}
				if t.buffer.Len() == 0 {
					break
				}
				got += t.buffer.Len()
			}
			if got != lines {
				b.Fatalf("read %d lines, want %d", got, lines)
			}
		}
		perLine(b)
	})
	b.Run("bufio.Scanner", func(b *testing.B) {
		t := newBench(b, "np.log")
		t.append("np.log", text)
		block := make([]byte, 512<<10)
		b.SetBytes(int64(len(text)))
		b.ReportAllocs()
		for b.Loop() {
			f, err := os.Open(t.path("np.log"))
			if err != nil {
				b.Fatal(err)
			}
			got, size := 0, 0
			scanner := bufio.NewScanner(f)
			scanner.Buffer(block, len(block))
			for scanner.Scan() {
				got++
				size += len(scanner.Bytes())
			}
			if err := f.Close(); err != nil || scanner.Err() != nil || got != lines {
				b.Fatal(err, scanner.Err(), got)
			}
		}
		perLine(b)
	})
}
