package openflow

// FieldID is a field that can be matched on or set, whichever of its numbers
// the wire has.
type FieldID uint8

// The fields of Open vSwitch 3.1 (ovs-fields(7)), in the order in which
// ovs-ofctl prints them; the place of the protocol's name is before Reg0. Reg0
// to Reg15, XReg0 to XReg7, XXReg0 to XXReg3 and TunnelMetadata0 to
// TunnelMetadata63 follow each other.
const (
	UnknownField FieldID = iota
	PacketMark
	RecircID
	DPHash
	ConjunctionID
	ActsetOutput
	CTState
	CTZone
	CTMark
	CTLabel
	CTIPv4Src
	CTIPv6Src
	CTIPv4Dst
	CTIPv6Dst
	CTIPProto
	CTPortSrc
	CTPortDst
	PacketType
	Reg0
	Reg1
	Reg2
	Reg3
	Reg4
	Reg5
	Reg6
	Reg7
	Reg8
	Reg9
	Reg10
	Reg11
	Reg12
	Reg13
	Reg14
	Reg15
	XReg0
	XReg1
	XReg2
	XReg3
	XReg4
	XReg5
	XReg6
	XReg7
	XXReg0
	XXReg1
	XXReg2
	XXReg3
	TunnelID
	TunnelIPv4Src
	TunnelIPv4Dst
	TunnelIPv6Src
	TunnelIPv6Dst
	TunnelGBPID
	TunnelGBPFlags
	ERSPANVersion
	ERSPANIndex
	ERSPANDirection
	ERSPANHardwareID
	GTPUFlags
	GTPUMessageType
	TunnelFlags
	TunnelMetadata0
	TunnelMetadata1
	TunnelMetadata2
	TunnelMetadata3
	TunnelMetadata4
	TunnelMetadata5
	TunnelMetadata6
	TunnelMetadata7
	TunnelMetadata8
	TunnelMetadata9
	TunnelMetadata10
	TunnelMetadata11
	TunnelMetadata12
	TunnelMetadata13
	TunnelMetadata14
	TunnelMetadata15
	TunnelMetadata16
	TunnelMetadata17
	TunnelMetadata18
	TunnelMetadata19
	TunnelMetadata20
	TunnelMetadata21
	TunnelMetadata22
	TunnelMetadata23
	TunnelMetadata24
	TunnelMetadata25
	TunnelMetadata26
	TunnelMetadata27
	TunnelMetadata28
	TunnelMetadata29
	TunnelMetadata30
	TunnelMetadata31
	TunnelMetadata32
	TunnelMetadata33
	TunnelMetadata34
	TunnelMetadata35
	TunnelMetadata36
	TunnelMetadata37
	TunnelMetadata38
	TunnelMetadata39
	TunnelMetadata40
	TunnelMetadata41
	TunnelMetadata42
	TunnelMetadata43
	TunnelMetadata44
	TunnelMetadata45
	TunnelMetadata46
	TunnelMetadata47
	TunnelMetadata48
	TunnelMetadata49
	TunnelMetadata50
	TunnelMetadata51
	TunnelMetadata52
	TunnelMetadata53
	TunnelMetadata54
	TunnelMetadata55
	TunnelMetadata56
	TunnelMetadata57
	TunnelMetadata58
	TunnelMetadata59
	TunnelMetadata60
	TunnelMetadata61
	TunnelMetadata62
	TunnelMetadata63
	Metadata
	InPort16
	InPort
	VLANTCI
	VLANVID
	VLANPCP
	EthSrc
	EthDst
	EthType
	IPv6Src
	IPv6Dst
	IPv6Label
	ARPSPA
	ARPTPA
	IPv4Src
	IPv4Dst
	NSHFlags
	NSHTTL
	NSHMDType
	NSHNextProtocol
	NSHServicePath
	NSHServiceIndex
	NSHContext1
	NSHContext2
	NSHContext3
	NSHContext4
	ARPOp
	IPProto
	ARPSHA
	ARPTHA
	IPTOS
	IPDSCP
	IPECN
	IPTTL
	MPLSLabel
	MPLSTC
	MPLSTTL
	MPLSBOS
	IPFrag
	ICMPType
	ICMPCode
	ICMPv6Type
	ICMPv6Code
	NDTarget
	NDSLL
	NDTLL
	NDReserved
	NDOptionsType
	TCPSrc
	TCPDst
	UDPSrc
	UDPDst
	SCTPSrc
	SCTPDst
	TCPFlags

	fieldCount
)

// format is how a value is printed.
type format uint8

const (
	decimal format = iota
	hexadecimal
	ipv4
	ipv6
	ethernet
	portNumber
	portNumber16 // of OpenFlow 1.0
	packetType
	ctState
	tcpFlags
	tunnelFlags
	fragments
)

type fieldInfo struct {
	name   string // in set_field
	match  string // in a match, where it is another
	code   string // in load, move and the like
	width  uint8  // bytes of a value; of tunnel metadata the most
	bits   uint16 // that may be set
	format format
}

var fields = [fieldCount]fieldInfo{
	PacketMark:       {"pkt_mark", "", "NXM_NX_PKT_MARK", 4, 32, hexadecimal},
	RecircID:         {"recirc_id", "", "NXM_NX_RECIRC_ID", 4, 32, hexadecimal},
	DPHash:           {"dp_hash", "", "NXM_NX_DP_HASH", 4, 32, hexadecimal},
	ConjunctionID:    {"conj_id", "", "NXM_NX_CONJ_ID", 4, 32, decimal},
	ActsetOutput:     {"actset_output", "", "ONFOXM_ET_ACTSET_OUTPUT", 4, 32, portNumber},
	CTState:          {"ct_state", "", "NXM_NX_CT_STATE", 4, 32, ctState},
	CTZone:           {"ct_zone", "", "NXM_NX_CT_ZONE", 2, 16, hexadecimal},
	CTMark:           {"ct_mark", "", "NXM_NX_CT_MARK", 4, 32, hexadecimal},
	CTLabel:          {"ct_label", "", "NXM_NX_CT_LABEL", 16, 128, hexadecimal},
	CTIPv4Src:        {"ct_nw_src", "", "NXM_NX_CT_NW_SRC", 4, 32, ipv4},
	CTIPv6Src:        {"ct_ipv6_src", "", "NXM_NX_CT_IPV6_SRC", 16, 128, ipv6},
	CTIPv4Dst:        {"ct_nw_dst", "", "NXM_NX_CT_NW_DST", 4, 32, ipv4},
	CTIPv6Dst:        {"ct_ipv6_dst", "", "NXM_NX_CT_IPV6_DST", 16, 128, ipv6},
	CTIPProto:        {"ct_nw_proto", "", "NXM_NX_CT_NW_PROTO", 1, 8, decimal},
	CTPortSrc:        {"ct_tp_src", "", "NXM_NX_CT_TP_SRC", 2, 16, decimal},
	CTPortDst:        {"ct_tp_dst", "", "NXM_NX_CT_TP_DST", 2, 16, decimal},
	PacketType:       {"packet_type", "", "OXM_OF_PACKET_TYPE", 4, 32, packetType},
	Reg0:             {"reg0", "", "NXM_NX_REG0", 4, 32, hexadecimal},
	Reg1:             {"reg1", "", "NXM_NX_REG1", 4, 32, hexadecimal},
	Reg2:             {"reg2", "", "NXM_NX_REG2", 4, 32, hexadecimal},
	Reg3:             {"reg3", "", "NXM_NX_REG3", 4, 32, hexadecimal},
	Reg4:             {"reg4", "", "NXM_NX_REG4", 4, 32, hexadecimal},
	Reg5:             {"reg5", "", "NXM_NX_REG5", 4, 32, hexadecimal},
	Reg6:             {"reg6", "", "NXM_NX_REG6", 4, 32, hexadecimal},
	Reg7:             {"reg7", "", "NXM_NX_REG7", 4, 32, hexadecimal},
	Reg8:             {"reg8", "", "NXM_NX_REG8", 4, 32, hexadecimal},
	Reg9:             {"reg9", "", "NXM_NX_REG9", 4, 32, hexadecimal},
	Reg10:            {"reg10", "", "NXM_NX_REG10", 4, 32, hexadecimal},
	Reg11:            {"reg11", "", "NXM_NX_REG11", 4, 32, hexadecimal},
	Reg12:            {"reg12", "", "NXM_NX_REG12", 4, 32, hexadecimal},
	Reg13:            {"reg13", "", "NXM_NX_REG13", 4, 32, hexadecimal},
	Reg14:            {"reg14", "", "NXM_NX_REG14", 4, 32, hexadecimal},
	Reg15:            {"reg15", "", "NXM_NX_REG15", 4, 32, hexadecimal},
	XReg0:            {"xreg0", "", "OXM_OF_PKT_REG0", 8, 64, hexadecimal},
	XReg1:            {"xreg1", "", "OXM_OF_PKT_REG1", 8, 64, hexadecimal},
	XReg2:            {"xreg2", "", "OXM_OF_PKT_REG2", 8, 64, hexadecimal},
	XReg3:            {"xreg3", "", "OXM_OF_PKT_REG3", 8, 64, hexadecimal},
	XReg4:            {"xreg4", "", "OXM_OF_PKT_REG4", 8, 64, hexadecimal},
	XReg5:            {"xreg5", "", "OXM_OF_PKT_REG5", 8, 64, hexadecimal},
	XReg6:            {"xreg6", "", "OXM_OF_PKT_REG6", 8, 64, hexadecimal},
	XReg7:            {"xreg7", "", "OXM_OF_PKT_REG7", 8, 64, hexadecimal},
	XXReg0:           {"xxreg0", "", "NXM_NX_XXREG0", 16, 128, hexadecimal},
	XXReg1:           {"xxreg1", "", "NXM_NX_XXREG1", 16, 128, hexadecimal},
	XXReg2:           {"xxreg2", "", "NXM_NX_XXREG2", 16, 128, hexadecimal},
	XXReg3:           {"xxreg3", "", "NXM_NX_XXREG3", 16, 128, hexadecimal},
	TunnelID:         {"tun_id", "", "NXM_NX_TUN_ID", 8, 64, hexadecimal},
	TunnelIPv4Src:    {"tun_src", "", "NXM_NX_TUN_IPV4_SRC", 4, 32, ipv4},
	TunnelIPv4Dst:    {"tun_dst", "", "NXM_NX_TUN_IPV4_DST", 4, 32, ipv4},
	TunnelIPv6Src:    {"tun_ipv6_src", "", "NXM_NX_TUN_IPV6_SRC", 16, 128, ipv6},
	TunnelIPv6Dst:    {"tun_ipv6_dst", "", "NXM_NX_TUN_IPV6_DST", 16, 128, ipv6},
	TunnelGBPID:      {"tun_gbp_id", "", "NXM_NX_TUN_GBP_ID", 2, 16, decimal},
	TunnelGBPFlags:   {"tun_gbp_flags", "", "NXM_NX_TUN_GBP_FLAGS", 1, 8, hexadecimal},
	ERSPANVersion:    {"tun_erspan_ver", "", "NXOXM_ET_ERSPAN_VER", 1, 4, decimal},
	ERSPANIndex:      {"tun_erspan_idx", "", "NXOXM_ET_ERSPAN_IDX", 4, 20, hexadecimal},
	ERSPANDirection:  {"tun_erspan_dir", "", "NXOXM_ET_ERSPAN_DIR", 1, 1, decimal},
	ERSPANHardwareID: {"tun_erspan_hwid", "", "NXOXM_ET_ERSPAN_HWID", 1, 6, hexadecimal},
	GTPUFlags:        {"tun_gtpu_flags", "gtpu_flags", "NXOXM_ET_GTPU_FLAGS", 1, 8, hexadecimal},
	GTPUMessageType:  {"tun_gtpu_msgtype", "gtpu_msgtype", "NXOXM_ET_GTPU_MSGTYPE", 1, 8, decimal},
	TunnelFlags:      {"tun_flags", "", "NXM_NX_TUN_FLAGS", 2, 1, tunnelFlags},
	TunnelMetadata0:  {"tun_metadata0", "", "NXM_NX_TUN_METADATA0", 124, 992, hexadecimal},
	TunnelMetadata1:  {"tun_metadata1", "", "NXM_NX_TUN_METADATA1", 124, 992, hexadecimal},
	TunnelMetadata2:  {"tun_metadata2", "", "NXM_NX_TUN_METADATA2", 124, 992, hexadecimal},
	TunnelMetadata3:  {"tun_metadata3", "", "NXM_NX_TUN_METADATA3", 124, 992, hexadecimal},
	TunnelMetadata4:  {"tun_metadata4", "", "NXM_NX_TUN_METADATA4", 124, 992, hexadecimal},
	TunnelMetadata5:  {"tun_metadata5", "", "NXM_NX_TUN_METADATA5", 124, 992, hexadecimal},
	TunnelMetadata6:  {"tun_metadata6", "", "NXM_NX_TUN_METADATA6", 124, 992, hexadecimal},
	TunnelMetadata7:  {"tun_metadata7", "", "NXM_NX_TUN_METADATA7", 124, 992, hexadecimal},
	TunnelMetadata8:  {"tun_metadata8", "", "NXM_NX_TUN_METADATA8", 124, 992, hexadecimal},
	TunnelMetadata9:  {"tun_metadata9", "", "NXM_NX_TUN_METADATA9", 124, 992, hexadecimal},
	TunnelMetadata10: {"tun_metadata10", "", "NXM_NX_TUN_METADATA10", 124, 992, hexadecimal},
	TunnelMetadata11: {"tun_metadata11", "", "NXM_NX_TUN_METADATA11", 124, 992, hexadecimal},
	TunnelMetadata12: {"tun_metadata12", "", "NXM_NX_TUN_METADATA12", 124, 992, hexadecimal},
	TunnelMetadata13: {"tun_metadata13", "", "NXM_NX_TUN_METADATA13", 124, 992, hexadecimal},
	TunnelMetadata14: {"tun_metadata14", "", "NXM_NX_TUN_METADATA14", 124, 992, hexadecimal},
	TunnelMetadata15: {"tun_metadata15", "", "NXM_NX_TUN_METADATA15", 124, 992, hexadecimal},
	TunnelMetadata16: {"tun_metadata16", "", "NXM_NX_TUN_METADATA16", 124, 992, hexadecimal},
	TunnelMetadata17: {"tun_metadata17", "", "NXM_NX_TUN_METADATA17", 124, 992, hexadecimal},
	TunnelMetadata18: {"tun_metadata18", "", "NXM_NX_TUN_METADATA18", 124, 992, hexadecimal},
	TunnelMetadata19: {"tun_metadata19", "", "NXM_NX_TUN_METADATA19", 124, 992, hexadecimal},
	TunnelMetadata20: {"tun_metadata20", "", "NXM_NX_TUN_METADATA20", 124, 992, hexadecimal},
	TunnelMetadata21: {"tun_metadata21", "", "NXM_NX_TUN_METADATA21", 124, 992, hexadecimal},
	TunnelMetadata22: {"tun_metadata22", "", "NXM_NX_TUN_METADATA22", 124, 992, hexadecimal},
	TunnelMetadata23: {"tun_metadata23", "", "NXM_NX_TUN_METADATA23", 124, 992, hexadecimal},
	TunnelMetadata24: {"tun_metadata24", "", "NXM_NX_TUN_METADATA24", 124, 992, hexadecimal},
	TunnelMetadata25: {"tun_metadata25", "", "NXM_NX_TUN_METADATA25", 124, 992, hexadecimal},
	TunnelMetadata26: {"tun_metadata26", "", "NXM_NX_TUN_METADATA26", 124, 992, hexadecimal},
	TunnelMetadata27: {"tun_metadata27", "", "NXM_NX_TUN_METADATA27", 124, 992, hexadecimal},
	TunnelMetadata28: {"tun_metadata28", "", "NXM_NX_TUN_METADATA28", 124, 992, hexadecimal},
	TunnelMetadata29: {"tun_metadata29", "", "NXM_NX_TUN_METADATA29", 124, 992, hexadecimal},
	TunnelMetadata30: {"tun_metadata30", "", "NXM_NX_TUN_METADATA30", 124, 992, hexadecimal},
	TunnelMetadata31: {"tun_metadata31", "", "NXM_NX_TUN_METADATA31", 124, 992, hexadecimal},
	TunnelMetadata32: {"tun_metadata32", "", "NXM_NX_TUN_METADATA32", 124, 992, hexadecimal},
	TunnelMetadata33: {"tun_metadata33", "", "NXM_NX_TUN_METADATA33", 124, 992, hexadecimal},
	TunnelMetadata34: {"tun_metadata34", "", "NXM_NX_TUN_METADATA34", 124, 992, hexadecimal},
	TunnelMetadata35: {"tun_metadata35", "", "NXM_NX_TUN_METADATA35", 124, 992, hexadecimal},
	TunnelMetadata36: {"tun_metadata36", "", "NXM_NX_TUN_METADATA36", 124, 992, hexadecimal},
	TunnelMetadata37: {"tun_metadata37", "", "NXM_NX_TUN_METADATA37", 124, 992, hexadecimal},
	TunnelMetadata38: {"tun_metadata38", "", "NXM_NX_TUN_METADATA38", 124, 992, hexadecimal},
	TunnelMetadata39: {"tun_metadata39", "", "NXM_NX_TUN_METADATA39", 124, 992, hexadecimal},
	TunnelMetadata40: {"tun_metadata40", "", "NXM_NX_TUN_METADATA40", 124, 992, hexadecimal},
	TunnelMetadata41: {"tun_metadata41", "", "NXM_NX_TUN_METADATA41", 124, 992, hexadecimal},
	TunnelMetadata42: {"tun_metadata42", "", "NXM_NX_TUN_METADATA42", 124, 992, hexadecimal},
	TunnelMetadata43: {"tun_metadata43", "", "NXM_NX_TUN_METADATA43", 124, 992, hexadecimal},
	TunnelMetadata44: {"tun_metadata44", "", "NXM_NX_TUN_METADATA44", 124, 992, hexadecimal},
	TunnelMetadata45: {"tun_metadata45", "", "NXM_NX_TUN_METADATA45", 124, 992, hexadecimal},
	TunnelMetadata46: {"tun_metadata46", "", "NXM_NX_TUN_METADATA46", 124, 992, hexadecimal},
	TunnelMetadata47: {"tun_metadata47", "", "NXM_NX_TUN_METADATA47", 124, 992, hexadecimal},
	TunnelMetadata48: {"tun_metadata48", "", "NXM_NX_TUN_METADATA48", 124, 992, hexadecimal},
	TunnelMetadata49: {"tun_metadata49", "", "NXM_NX_TUN_METADATA49", 124, 992, hexadecimal},
	TunnelMetadata50: {"tun_metadata50", "", "NXM_NX_TUN_METADATA50", 124, 992, hexadecimal},
	TunnelMetadata51: {"tun_metadata51", "", "NXM_NX_TUN_METADATA51", 124, 992, hexadecimal},
	TunnelMetadata52: {"tun_metadata52", "", "NXM_NX_TUN_METADATA52", 124, 992, hexadecimal},
	TunnelMetadata53: {"tun_metadata53", "", "NXM_NX_TUN_METADATA53", 124, 992, hexadecimal},
	TunnelMetadata54: {"tun_metadata54", "", "NXM_NX_TUN_METADATA54", 124, 992, hexadecimal},
	TunnelMetadata55: {"tun_metadata55", "", "NXM_NX_TUN_METADATA55", 124, 992, hexadecimal},
	TunnelMetadata56: {"tun_metadata56", "", "NXM_NX_TUN_METADATA56", 124, 992, hexadecimal},
	TunnelMetadata57: {"tun_metadata57", "", "NXM_NX_TUN_METADATA57", 124, 992, hexadecimal},
	TunnelMetadata58: {"tun_metadata58", "", "NXM_NX_TUN_METADATA58", 124, 992, hexadecimal},
	TunnelMetadata59: {"tun_metadata59", "", "NXM_NX_TUN_METADATA59", 124, 992, hexadecimal},
	TunnelMetadata60: {"tun_metadata60", "", "NXM_NX_TUN_METADATA60", 124, 992, hexadecimal},
	TunnelMetadata61: {"tun_metadata61", "", "NXM_NX_TUN_METADATA61", 124, 992, hexadecimal},
	TunnelMetadata62: {"tun_metadata62", "", "NXM_NX_TUN_METADATA62", 124, 992, hexadecimal},
	TunnelMetadata63: {"tun_metadata63", "", "NXM_NX_TUN_METADATA63", 124, 992, hexadecimal},
	Metadata:         {"metadata", "", "OXM_OF_METADATA", 8, 64, hexadecimal},
	InPort16:         {"in_port", "", "NXM_OF_IN_PORT", 2, 16, portNumber16},
	InPort:           {"in_port_oxm", "in_port", "OXM_OF_IN_PORT", 4, 32, portNumber},
	VLANTCI:          {"vlan_tci", "", "NXM_OF_VLAN_TCI", 2, 16, hexadecimal},
	VLANVID:          {"vlan_vid", "", "OXM_OF_VLAN_VID", 2, 13, decimal},
	VLANPCP:          {"vlan_pcp", "dl_vlan_pcp", "OXM_OF_VLAN_PCP", 1, 3, decimal},
	EthSrc:           {"eth_src", "dl_src", "NXM_OF_ETH_SRC", 6, 48, ethernet},
	EthDst:           {"eth_dst", "dl_dst", "NXM_OF_ETH_DST", 6, 48, ethernet},
	EthType:          {"eth_type", "dl_type", "NXM_OF_ETH_TYPE", 2, 16, hexadecimal},
	IPv6Src:          {"ipv6_src", "", "NXM_NX_IPV6_SRC", 16, 128, ipv6},
	IPv6Dst:          {"ipv6_dst", "", "NXM_NX_IPV6_DST", 16, 128, ipv6},
	IPv6Label:        {"ipv6_label", "", "NXM_NX_IPV6_LABEL", 4, 20, hexadecimal},
	ARPSPA:           {"arp_spa", "", "NXM_OF_ARP_SPA", 4, 32, ipv4},
	ARPTPA:           {"arp_tpa", "", "NXM_OF_ARP_TPA", 4, 32, ipv4},
	IPv4Src:          {"ip_src", "nw_src", "NXM_OF_IP_SRC", 4, 32, ipv4},
	IPv4Dst:          {"ip_dst", "nw_dst", "NXM_OF_IP_DST", 4, 32, ipv4},
	NSHFlags:         {"nsh_flags", "", "NXOXM_NSH_FLAGS", 1, 8, decimal},
	NSHTTL:           {"nsh_ttl", "", "NXOXM_NSH_TTL", 1, 8, decimal},
	NSHMDType:        {"nsh_mdtype", "", "NXOXM_NSH_MDTYPE", 1, 8, decimal},
	NSHNextProtocol:  {"nsh_np", "", "NXOXM_NSH_NP", 1, 8, decimal},
	NSHServicePath:   {"nsh_spi", "", "NXOXM_NSH_SPI", 4, 24, hexadecimal},
	NSHServiceIndex:  {"nsh_si", "", "NXOXM_NSH_SI", 1, 8, decimal},
	NSHContext1:      {"nsh_c1", "", "NXOXM_NSH_C1", 4, 32, hexadecimal},
	NSHContext2:      {"nsh_c2", "", "NXOXM_NSH_C2", 4, 32, hexadecimal},
	NSHContext3:      {"nsh_c3", "", "NXOXM_NSH_C3", 4, 32, hexadecimal},
	NSHContext4:      {"nsh_c4", "", "NXOXM_NSH_C4", 4, 32, hexadecimal},
	ARPOp:            {"arp_op", "", "NXM_OF_ARP_OP", 2, 16, decimal},
	IPProto:          {"nw_proto", "", "NXM_OF_IP_PROTO", 1, 8, decimal},
	ARPSHA:           {"arp_sha", "", "NXM_NX_ARP_SHA", 6, 48, ethernet},
	ARPTHA:           {"arp_tha", "", "NXM_NX_ARP_THA", 6, 48, ethernet},
	IPTOS:            {"nw_tos", "", "NXM_OF_IP_TOS", 1, 8, decimal},
	IPDSCP:           {"ip_dscp", "nw_tos", "OXM_OF_IP_DSCP", 1, 6, decimal},
	IPECN:            {"nw_ecn", "", "NXM_NX_IP_ECN", 1, 2, decimal},
	IPTTL:            {"nw_ttl", "", "NXM_NX_IP_TTL", 1, 8, decimal},
	MPLSLabel:        {"mpls_label", "", "OXM_OF_MPLS_LABEL", 4, 20, decimal},
	MPLSTC:           {"mpls_tc", "", "OXM_OF_MPLS_TC", 1, 3, decimal},
	MPLSTTL:          {"mpls_ttl", "", "NXM_NX_MPLS_TTL", 1, 8, decimal},
	MPLSBOS:          {"mpls_bos", "", "OXM_OF_MPLS_BOS", 1, 1, decimal},
	IPFrag:           {"ip_frag", "nw_frag", "NXM_NX_IP_FRAG", 1, 2, fragments},
	ICMPType:         {"icmp_type", "", "NXM_OF_ICMP_TYPE", 1, 8, decimal},
	ICMPCode:         {"icmp_code", "", "NXM_OF_ICMP_CODE", 1, 8, decimal},
	ICMPv6Type:       {"icmpv6_type", "icmp_type", "NXM_NX_ICMPV6_TYPE", 1, 8, decimal},
	ICMPv6Code:       {"icmpv6_code", "icmp_code", "NXM_NX_ICMPV6_CODE", 1, 8, decimal},
	NDTarget:         {"nd_target", "", "NXM_NX_ND_TARGET", 16, 128, ipv6},
	NDSLL:            {"nd_sll", "", "NXM_NX_ND_SLL", 6, 48, ethernet},
	NDTLL:            {"nd_tll", "", "NXM_NX_ND_TLL", 6, 48, ethernet},
	NDReserved:       {"nd_reserved", "", "ERICOXM_OF_ICMPV6_ND_RESERVED", 4, 32, decimal},
	NDOptionsType:    {"nd_options_type", "", "ERICOXM_OF_ICMPV6_ND_OPTIONS_TYPE", 1, 8, decimal},
	TCPSrc:           {"tcp_src", "tp_src", "NXM_OF_TCP_SRC", 2, 16, decimal},
	TCPDst:           {"tcp_dst", "tp_dst", "NXM_OF_TCP_DST", 2, 16, decimal},
	UDPSrc:           {"udp_src", "tp_src", "NXM_OF_UDP_SRC", 2, 16, decimal},
	UDPDst:           {"udp_dst", "tp_dst", "NXM_OF_UDP_DST", 2, 16, decimal},
	SCTPSrc:          {"sctp_src", "tp_src", "OXM_OF_SCTP_SRC", 2, 16, decimal},
	SCTPDst:          {"sctp_dst", "tp_dst", "OXM_OF_SCTP_DST", 2, 16, decimal},
	TCPFlags:         {"tcp_flags", "", "NXM_NX_TCP_FLAGS", 2, 12, tcpFlags},
}

// oxmBasic are the fields of OpenFlow itself (OXM_OF).
var oxmBasic = [128]FieldID{
	0: InPort, 2: Metadata, 3: EthDst, 4: EthSrc, 5: EthType, 6: VLANVID, 7: VLANPCP, 8: IPDSCP, 9: IPECN, 10: IPProto, 11: IPv4Src,
	12: IPv4Dst, 13: TCPSrc, 14: TCPDst, 15: UDPSrc, 16: UDPDst, 17: SCTPSrc, 18: SCTPDst, 19: ICMPType, 20: ICMPCode, 21: ARPOp, 22: ARPSPA,
	23: ARPTPA, 24: ARPSHA, 25: ARPTHA, 26: IPv6Src, 27: IPv6Dst, 28: IPv6Label, 29: ICMPv6Type, 30: ICMPv6Code, 31: NDTarget, 32: NDSLL,
	33: NDTLL, 34: MPLSLabel, 35: MPLSTC, 36: MPLSBOS, 38: TunnelID, 42: TCPFlags, 43: ActsetOutput, 44: PacketType,
}

// nxm0 are the first of Open vSwitch (NXM_OF).
var nxm0 = [128]FieldID{
	0: InPort16, 1: EthDst, 2: EthSrc, 3: EthType, 4: VLANTCI, 5: IPTOS, 6: IPProto, 7: IPv4Src, 8: IPv4Dst, 9: TCPSrc, 10: TCPDst, 11: UDPSrc,
	12: UDPDst, 13: ICMPType, 14: ICMPCode, 15: ARPOp, 16: ARPSPA, 17: ARPTPA,
}

// nxm1 are the later ones of Open vSwitch (NXM_NX).
var nxm1 = [128]FieldID{
	0: Reg0, 1: Reg1, 2: Reg2, 3: Reg3, 4: Reg4, 5: Reg5, 6: Reg6, 7: Reg7, 8: Reg8, 9: Reg9, 10: Reg10, 11: Reg11, 12: Reg12, 13: Reg13,
	14: Reg14, 15: Reg15, 16: TunnelID, 17: ARPSHA, 18: ARPTHA, 19: IPv6Src, 20: IPv6Dst, 21: ICMPv6Type, 22: ICMPv6Code, 23: NDTarget,
	24: NDSLL, 25: NDTLL, 26: IPFrag, 27: IPv6Label, 28: IPECN, 29: IPTTL, 30: MPLSTTL, 31: TunnelIPv4Src, 32: TunnelIPv4Dst, 33: PacketMark,
	34: TCPFlags, 35: DPHash, 36: RecircID, 37: ConjunctionID, 38: TunnelGBPID, 39: TunnelGBPFlags, 40: TunnelMetadata0, 41: TunnelMetadata1,
	42: TunnelMetadata2, 43: TunnelMetadata3, 44: TunnelMetadata4, 45: TunnelMetadata5, 46: TunnelMetadata6, 47: TunnelMetadata7,
	48: TunnelMetadata8, 49: TunnelMetadata9, 50: TunnelMetadata10, 51: TunnelMetadata11, 52: TunnelMetadata12, 53: TunnelMetadata13,
	54: TunnelMetadata14, 55: TunnelMetadata15, 56: TunnelMetadata16, 57: TunnelMetadata17, 58: TunnelMetadata18, 59: TunnelMetadata19,
	60: TunnelMetadata20, 61: TunnelMetadata21, 62: TunnelMetadata22, 63: TunnelMetadata23, 64: TunnelMetadata24, 65: TunnelMetadata25,
	66: TunnelMetadata26, 67: TunnelMetadata27, 68: TunnelMetadata28, 69: TunnelMetadata29, 70: TunnelMetadata30, 71: TunnelMetadata31,
	72: TunnelMetadata32, 73: TunnelMetadata33, 74: TunnelMetadata34, 75: TunnelMetadata35, 76: TunnelMetadata36, 77: TunnelMetadata37,
	78: TunnelMetadata38, 79: TunnelMetadata39, 80: TunnelMetadata40, 81: TunnelMetadata41, 82: TunnelMetadata42, 83: TunnelMetadata43,
	84: TunnelMetadata44, 85: TunnelMetadata45, 86: TunnelMetadata46, 87: TunnelMetadata47, 88: TunnelMetadata48, 89: TunnelMetadata49,
	90: TunnelMetadata50, 91: TunnelMetadata51, 92: TunnelMetadata52, 93: TunnelMetadata53, 94: TunnelMetadata54, 95: TunnelMetadata55,
	96: TunnelMetadata56, 97: TunnelMetadata57, 98: TunnelMetadata58, 99: TunnelMetadata59, 100: TunnelMetadata60, 101: TunnelMetadata61,
	102: TunnelMetadata62, 103: TunnelMetadata63, 104: TunnelFlags, 105: CTState, 106: CTZone, 107: CTMark, 108: CTLabel, 109: TunnelIPv6Src,
	110: TunnelIPv6Dst, 111: XXReg0, 112: XXReg1, 113: XXReg2, 114: XXReg3, 119: CTIPProto, 120: CTIPv4Src, 121: CTIPv4Dst, 122: CTIPv6Src,
	123: CTIPv6Dst, 124: CTPortSrc, 125: CTPortDst,
}

// oxmRegisters are those of OpenFlow 1.5 (OXM_OF_PKT_REG).
var oxmRegisters = [128]FieldID{
	0: XReg0, 1: XReg1, 2: XReg2, 3: XReg3, 4: XReg4, 5: XReg5, 6: XReg6, 7: XReg7,
}

// oxmEricsson are those that Ericsson added (ERICOXM_OF).
var oxmEricsson = [128]FieldID{
	1: NDReserved, 2: NDOptionsType,
}

// oxmONF are later fields as extensions of OpenFlow 1.3 (ONFOXM_ET).
var oxmONF = [128]FieldID{
	42: TCPFlags, 43: ActsetOutput, 44: PacketType,
}

// oxmNicira are those of Open vSwitch with an experimenter (NXOXM_ET).
var oxmNicira = [128]FieldID{
	11: ERSPANIndex, 12: ERSPANVersion, 13: ERSPANDirection, 14: ERSPANHardwareID, 15: GTPUFlags, 16: GTPUMessageType,
}

// oxmNSH are those of the network service header (NXOXM_NSH).
var oxmNSH = [128]FieldID{
	1: NSHFlags, 2: NSHMDType, 3: NSHNextProtocol, 4: NSHServicePath, 5: NSHServiceIndex, 6: NSHContext1, 7: NSHContext2, 8: NSHContext3,
	9: NSHContext4, 10: NSHTTL,
}

// Classes and experimenters of fields.
const (
	classNXM0         = 0x0000
	classNXM1         = 0x0001
	classEricsson     = 0x1000
	classBasic        = 0x8000
	classRegisters    = 0x8001
	classStatistics   = 0x8002
	classExperimenter = 0xffff

	experimenterNicira = 0x00002320
	experimenterONF    = 0x4f4e4600
	experimenterNSH    = 0x005ad650
	experimenterNTR    = 0x0000154d
	experimenterIntel  = 0x0000aa01
)

// fieldOf finds the field of the numbers that the wire has.
func fieldOf(class uint16, number uint8, experimenter uint32) FieldID {
	number &= 0x7f
	switch class {
	case classBasic:
		return oxmBasic[number]
	case classNXM1:
		return nxm1[number]
	case classNXM0:
		return nxm0[number]
	case classRegisters:
		return oxmRegisters[number]
	case classEricsson:
		return oxmEricsson[number]
	case classExperimenter:
		switch experimenter {
		case experimenterONF:
			return oxmONF[number]
		case experimenterNicira:
			return oxmNicira[number]
		case experimenterNSH:
			return oxmNSH[number]
		}
	}
	return UnknownField
}

// String gives the name of a field as in set_field.
func (f FieldID) String() string {
	if f >= fieldCount {
		f = UnknownField
	}
	return fields[f].name
}

// Bits is how many bits a value of the field has.
func (f FieldID) Bits() int {
	if f >= fieldCount {
		return 0
	}
	return int(fields[f].bits)
}
