package provisioner

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestCredentialsForms(t *testing.T) {
	for _, form := range credentialForms {
		c, err := credentialsFrom(map[string]string{form.access: "key", form.secret: " secret\n", "other": "x"})
		if err != nil || c.AccessKey != "key" || c.SecretKey != "secret" {
			t.Errorf("%s and %s give %s (%v)", form.access, form.secret, c, err)
		}
		if _, err := credentialsFrom(map[string]string{form.secret: "hunter2"}); err == nil || !strings.Contains(err.Error(), "no "+form.access) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s alone: %v", form.secret, err)
		}
	}
}

// A folder that the kubelet mounted: links, and folders of its own.
func TestLoadCredentialsOfAMount(t *testing.T) {
	dir := t.TempDir()
	data := filepath.Join(dir, "..2026")
	if err := os.Mkdir(data, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("..2026", filepath.Join(dir, "..data")); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"CONSOLE_ACCESS_KEY": "key", "CONSOLE_SECRET_KEY": "secret"} {
		if err := os.WriteFile(filepath.Join(data, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(filepath.Join("..data", name), filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if c, err := LoadCredentials(dir); err != nil || c != (Credentials{AccessKey: "key", SecretKey: "secret"}) {
		t.Errorf("LoadCredentials = %s, %v", c, err)
	}
}

// inert is what the shell starts no program and opens no file for.
const inert = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 \t'\"\\#=+-_%.:,@"

// What we take for an assignment means to the shell what we read.
func FuzzAssignments(f *testing.F) {
	for _, seed := range []string{`"a b"`, `'a"b'`, `a\ b`, `"a\"b\\c\d"`, `a'b'"c"`, `plain # note`, `"$HOME"`, "`id`", `'`, `"`, `\`, `a b`, `a;b`, ``, `"a`, `~`, `a&b`, `(`, `*`} {
		f.Add(seed)
	}
	shell, err := exec.LookPath("sh")
	if err != nil {
		f.Fatal("sh is needed:", err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		values, err := assignments("export KEY=" + text)
		if err != nil || strings.ContainsFunc(text, func(r rune) bool { return !strings.ContainsRune(inert, r) }) || text != strings.TrimSpace(text) {
			return
		}
		command := exec.CommandContext(t.Context(), shell, "-fc", "KEY="+text+"\nprintf %s \"$KEY\"")
		command.Env = []string{"PATH=/nonexistent"}
		out, err := command.Output()
		if err != nil {
			t.Fatalf("we read %q of %q, which sh refuses: %v", values["KEY"], text, err)
		}
		if string(out) != values["KEY"] {
			t.Fatalf("we read %q of %q, and sh %q", values["KEY"], text, out)
		}
	})
}
