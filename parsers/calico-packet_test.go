package parsers_test

import (
	"fmt"
	"regexp"
	"testing"

	"pgregory.net/rapid"
)

// Lines of random values, in each layout, give the values back.
func TestCalicoPacket_RoundTrip(t *testing.T) {
	check := giveBack(t, "calico-packet")
	rapid.Check(t, func(t *rapid.T) {
		src, dst, v6 := addresses(t)
		want := map[string]string{
			"src_ip": src, "dst_ip": dst, "src_port": port(t), "dst_port": port(t), "action": "", "policy": "",
			"length": fmt.Sprint(rapid.Uint16Min(20).Draw(t, "length")), "ip_id": "", "in_interface": "eth0", "out_interface": "",
			"protocol": rapid.SampledFrom([]string{"TCP", "UDP"}).Draw(t, "protocol"),
		}
		head := "Jun  2 10:11:12"
		if want["layout"] = rapid.SampledFrom([]string{"syslog", "iso"}).Draw(t, "layout"); want["layout"] == "iso" {
			head = "2024-06-02T10:11:12.345678+00:00"
		}
		uptime := rapid.SampledFrom([]string{"", "[    1.000001] ", "[12345.678901] "}).Draw(t, "uptime")
		prefix := "calico-packet"
		if rapid.Bool().Draw(t, "named") {
			want["policy"] = kubernetesName().Draw(t, "namespace") + "/" + kubernetesName().Draw(t, "policy")
			prefix += " dmz np " + want["policy"]
		}
		ip := "TC=0 HOPLIMIT=64 FLOWLBL=0"
		if !v6 {
			want["ip_id"] = fmt.Sprint(rapid.Uint16().Draw(t, "id"))
			ip = "TOS=0x00 PREC=0x00 TTL=64 ID=" + want["ip_id"] + " DF"
		}
		tail := "WINDOW=64240 RES=0x00 SYN URGP=0 "
		if want["protocol"] == "UDP" {
			tail = "LEN=8"
		}
		check(t, fmt.Sprintf("%s node-1 kernel: %s%s: IN=eth0 OUT= SRC=%s DST=%s LEN=%s %s PROTO=%s SPT=%s DPT=%s %s",
			head, uptime, prefix, src, dst, want["length"], ip, want["protocol"], want["src_port"], want["dst_port"], tail), want)
	})
}

func BenchmarkCalicoPacket(b *testing.B) {
	re := regexp.MustCompile(`^(.{15}) (\S+) kernel: \[ *([0-9.]+)\] calico-packet: IN=(\S*) OUT=(\S*) .*SRC=(\S+) DST=(\S+) LEN=([0-9]+) .*PROTO=(\S+) SPT=([0-9]+) DPT=([0-9]+)`)
	besides(b, "calico-packet", "regexp", func(line []byte) bool { return re.FindSubmatchIndex(line) != nil })
}
