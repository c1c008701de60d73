package v1

// feature is a field of a spec whose feature Heddle does not have yet, and whether the object asks for it.
type feature struct {
	// field is the json name.
	field string
	asked bool
}

// Unsupported lists the fields, by json name, that are set to something which Heddle cannot do yet. An object
// with such a field is not Ready, and says which: nothing that a user writes is ignored silently.
//
// Fields that ask for nothing (false, an empty list, the only value that there is) are not listed.
func (s *SubnetSpec) Unsupported() []string {
	return asked(
		[]feature{
			{"provider", s.Provider != "" && s.Provider != ProviderOVN && s.Provider != ProviderL2},
			{"protocol", s.Protocol == ProtocolMac},
			{"gatewayType", s.GatewayType != "" && s.GatewayType != GatewayTypeDistributed},
		},
		s.SubnetGatewaySpec.features(),
		s.securityFeatures(),
		s.SubnetLinkSpec.features(),
	)
}

// features leaves out disableInterConnection: there is no interconnection, so it is in force.
func (s *SubnetGatewaySpec) features() []feature {
	return []feature{
		{"gatewayNode", s.GatewayNode != ""},
		{"gatewayNodeSelectors", len(s.GatewayNodeSelectors) > 0},
		{"enableEcmp", s.EnableEcmp},
		{"natOutgoingPolicyRules", len(s.NatOutgoingPolicyRules) > 0},
		{"externalEgressGateway", s.ExternalEgressGateway != ""},
		{"policyRoutingPriority", s.PolicyRoutingPriority != 0},
		{"policyRoutingTableID", s.PolicyRoutingTableID != 0},
		{"logicalGateway", s.LogicalGateway},
		{"routeTable", s.RouteTable != ""},
	}
}

// securityFeatures are there where OVN carries the packets.
func (s *SubnetSpec) securityFeatures() []feature {
	if s.Provider != ProviderL2 {
		return nil
	}
	return []feature{
		{"private", s.Private},
		{"allowSubnets", len(s.AllowSubnets) > 0},
		{"allowEWTraffic", s.AllowEWTraffic},
		{"acls", len(s.Acls) > 0},
	}
}

func (s *SubnetLinkSpec) features() []feature {
	return []feature{
		{"vlan", s.Vlan != ""},
		{"nodeNetwork", s.NodeNetwork != ""},
		{"vips", len(s.Vips) > 0},
		{"enableExternalLBAddress", s.EnableExternalLBAddress},
		{"enableDHCP", s.EnableDHCP},
		{"dhcpV4Options", s.DHCPv4Options != ""},
		{"dhcpV6Options", s.DHCPv6Options != ""},
		{"enableIPv6RA", s.EnableIPv6RA},
		{"ipv6RAConfigs", s.IPv6RAConfigs != ""},
		{"enableMulticastSnoop", s.EnableMulticastSnoop},
		{"u2oInterconnection", s.U2OInterconnection},
		{"u2oInterconnectionIP", s.U2OInterconnectionIP != ""},
		{"u2oFeatures", s.U2OFeatures != nil && *s.U2OFeatures != U2OFeatures{}},
	}
}

// Unsupported lists the fields, by json name, that are set to something which Heddle cannot do yet. Namespaces
// and DefaultSubnet are among them because they bind Pods to a Vpc other than ovn-cluster, and there is none yet.
// That a Vpc of another name is itself not supported is for the controller to say: the spec does not know
// its name.
func (s *VpcSpec) Unsupported() []string {
	return asked([]feature{
		{"namespaces", len(s.Namespaces) > 0},
		{"defaultSubnet", s.DefaultSubnet != ""},
		{"staticRoutes", len(s.StaticRoutes) > 0},
		{"policyRoutes", len(s.PolicyRoutes) > 0},
		{"vpcPeerings", len(s.VpcPeerings) > 0},
		{"enableExternal", s.EnableExternal},
		{"extraExternalSubnets", len(s.ExtraExternalSubnets) > 0},
		{"enableBfd", s.EnableBfd},
		{"bfdPort", s.BFDPort != nil && s.BFDPort.Enabled},
	})
}

// asked gives the names of the features that are asked for, nil when there are none.
func asked(tables ...[]feature) []string {
	var fields []string
	for _, table := range tables {
		for _, f := range table {
			if f.asked {
				fields = append(fields, f.field)
			}
		}
	}
	return fields
}

// laterAnnotations are those of a Pod, without the prefix, that ask for a feature which Heddle does not have yet.
var laterAnnotations = []string{
	"aaps", "activation_strategy", "bgp", "default_route", "dhcp-v4-options", "dhcp-v6-options", "eip",
	"ip_family", "ip_pool", "layer2_forward",
	"north_gateway", "port_security", "port_vips", "routes", "snat", "vip",
}

// UnsupportedAnnotations lists the annotations of a Pod that ask for something which Heddle cannot do yet.
func UnsupportedAnnotations(annotations map[string]string) []string {
	var keys []string
	for _, name := range laterAnnotations {
		if value := annotations[AnnotationPrefix+name]; value != "" && value != "false" {
			keys = append(keys, AnnotationPrefix+name)
		}
	}
	return keys
}
