package openflow

import "strconv"

// Error is the answer of a switch that does not do what it was asked.
type Error struct {
	Type, Code   uint16
	Experimenter uint32 // when Type is 65535
}

// Error names type and code as the specification does, and gives the number
// of what has no name.
func (e Error) Error() string {
	if e.Type == 0xffff {
		return "the switch answers OFPET_EXPERIMENTER, experimenter 0x" + strconv.FormatUint(uint64(e.Experimenter), 16) + ", type " + strconv.Itoa(int(e.Code))
	}
	if int(e.Type) >= len(errorTypes) {
		return "the switch answers error type " + strconv.Itoa(int(e.Type)) + ", code " + strconv.Itoa(int(e.Code))
	}
	t := errorTypes[e.Type]
	code := "code " + strconv.Itoa(int(e.Code))
	if int(e.Code) < len(t.codes) {
		code = t.prefix + t.codes[e.Code]
	}
	return "the switch answers OFPET_" + t.name + ", " + code
}

type errorType struct {
	name, prefix string
	codes        []string // of those that a reader can cause
}

// errorTypes are enum ofp_error_type of OpenFlow 1.5.
var errorTypes = [...]errorType{
	{"HELLO_FAILED", "OFPHFC_", []string{"INCOMPATIBLE", "EPERM"}},
	{"BAD_REQUEST", "OFPBRC_", []string{
		"BAD_VERSION", "BAD_TYPE", "BAD_MULTIPART", "BAD_EXPERIMENTER", "BAD_EXP_TYPE", "EPERM", "BAD_LEN", "BUFFER_EMPTY", "BUFFER_UNKNOWN",
		"BAD_TABLE_ID", "IS_SLAVE", "BAD_PORT", "BAD_PACKET", "MULTIPART_BUFFER_OVERFLOW", "MULTIPART_REQUEST_TIMEOUT", "MULTIPART_REPLY_TIMEOUT",
		"MULTIPART_BAD_SCHED", "PIPELINE_FIELDS_ONLY", "UNKNOWN",
	}},
	{"BAD_ACTION", "OFPBAC_", nil},
	{"BAD_INSTRUCTION", "OFPBIC_", nil},
	{"BAD_MATCH", "OFPBMC_", []string{
		"BAD_TYPE", "BAD_LEN", "BAD_TAG", "BAD_DL_ADDR_MASK", "BAD_NW_ADDR_MASK", "BAD_WILDCARDS", "BAD_FIELD", "BAD_VALUE", "BAD_MASK", "BAD_PREREQ",
		"DUP_FIELD", "EPERM",
	}},
	{"FLOW_MOD_FAILED", "OFPFMFC_", nil},
	{"GROUP_MOD_FAILED", "OFPGMFC_", []string{
		"GROUP_EXISTS", "INVALID_GROUP", "WEIGHT_UNSUPPORTED", "OUT_OF_GROUPS", "OUT_OF_BUCKETS", "CHAINING_UNSUPPORTED", "WATCH_UNSUPPORTED", "LOOP",
		"UNKNOWN_GROUP", "CHAINED_GROUP", "BAD_TYPE", "BAD_COMMAND", "BAD_BUCKET", "BAD_WATCH", "EPERM",
	}},
	{"PORT_MOD_FAILED", "OFPPMFC_", nil},
	{"TABLE_MOD_FAILED", "OFPTMFC_", nil},
	{"QUEUE_OP_FAILED", "OFPQOFC_", []string{"BAD_PORT", "BAD_QUEUE", "EPERM"}},
	{"SWITCH_CONFIG_FAILED", "OFPSCFC_", nil},
	{"ROLE_REQUEST_FAILED", "OFPRRFC_", nil},
	{"METER_MOD_FAILED", "OFPMMFC_", []string{
		"UNKNOWN", "METER_EXISTS", "INVALID_METER", "UNKNOWN_METER", "BAD_COMMAND", "BAD_FLAGS", "BAD_RATE", "BAD_BURST", "BAD_BAND", "BAD_BAND_VALUE",
		"OUT_OF_METERS", "OUT_OF_BANDS",
	}},
	{"TABLE_FEATURES_FAILED", "OFPTFFC_", []string{"BAD_TABLE", "BAD_METADATA", "BAD_TYPE", "BAD_LEN", "BAD_ARGUMENT", "EPERM"}},
	{"BAD_PROPERTY", "OFPBPC_", nil},
	{"ASYNC_CONFIG_FAILED", "OFPACFC_", nil},
	{"FLOW_MONITOR_FAILED", "OFPMOFC_", nil},
	{"BUNDLE_FAILED", "OFPBFC_", nil},
}
