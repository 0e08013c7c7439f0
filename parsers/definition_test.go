package parsers

import (
	"testing"
)

func TestShipped(t *testing.T) {
	set, err := Shipped()
	if err != nil {
		t.Fatal(err)
	}
	for name, d := range set {
		for _, l := range d.Layouts {
			if l.pattern.fast == nil {
				t.Errorf("%s: layout %s is left to regexp", name, l.Name)
			}
		}
	}
}
