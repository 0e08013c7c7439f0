package parsers

// Definition says how one log format is read.
type Definition struct {
	Name         string
	Fields       []Field
	StreamLabels []int // indices into Fields
	Metadata     []int // indices into Fields
}

// Field of a definition.
type Field struct {
	Name   string
	Number bool
}

// Layout is one shape that the lines of a format have had.
type Layout struct {
	Name string
}
