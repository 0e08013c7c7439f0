package openflow

// Raw gives the fields as the switch wrote them: the same for the same match.
func (m Match) Raw() []byte { return m.oxm }

// Raw gives the instructions as the switch wrote them; without any, packets are dropped.
func (i Instructions) Raw() []byte { return i.b }
