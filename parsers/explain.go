package parsers

// LeftToRegexp says why the lines of a layout are matched by package regexp,
// which is many times slower than the matcher; empty when they are not.
func (l *Layout) LeftToRegexp() string {
	if l.pattern == nil {
		return ""
	}
	return l.pattern.slow
}
