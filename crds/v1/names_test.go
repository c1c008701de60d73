package v1

import (
	"reflect"
	"slices"
	"strings"
	"testing"
)

// kubeOVNNames are the json names of Kube-OVN's API. Manifests and tools depend on each of them.
var kubeOVNNames = map[reflect.Type]string{
	reflect.TypeFor[SubnetSpec](): `cidrBlock gateway excludeIps protocol default mtu vpc provider namespaces
		namespaceSelectors vlan routeTable nodeNetwork gatewayType gatewayNode gatewayNodeSelectors enableEcmp natOutgoing
		natOutgoingPolicyRules externalEgressGateway policyRoutingPriority policyRoutingTableID disableGatewayCheck
		logicalGateway disableInterConnection private allowSubnets allowEWTraffic acls enableLb vips
		enableExternalLBAddress enableDHCP dhcpV4Options dhcpV6Options enableIPv6RA ipv6RAConfigs enableMulticastSnoop
		u2oInterconnection u2oInterconnectionIP u2oFeatures`,
	reflect.TypeFor[U2OFeatures]():            `overlayOnlyRouting`,
	reflect.TypeFor[ACL]():                    `direction priority match action`,
	reflect.TypeFor[NatOutgoingPolicyRule]():  `match action`,
	reflect.TypeFor[NatOutGoingPolicyMatch](): `srcIPs dstIPs`,
	reflect.TypeFor[SubnetStatus](): `v4availableIPs v4usingIPs v6availableIPs v6usingIPs v4availableIPrange v4usingIPrange
		v6availableIPrange v6usingIPrange activateGateway dhcpV4OptionsUUID dhcpV6OptionsUUID u2oInterconnectionIP
		u2oInterconnectionMAC u2oInterconnectionVPC mcastQuerierIP mcastQuerierMAC natOutgoingPolicyRules conditions`,
	reflect.TypeFor[NatOutgoingPolicyRuleStatus](): `ruleID match action`,
	reflect.TypeFor[Condition]():                   `type status reason message lastUpdateTime lastTransitionTime observedGeneration`,
	reflect.TypeFor[IPSpec](): `podName namespace subnet nodeName ipAddress v4IpAddress v6IpAddress macAddress containerID
		podType attachIps attachMacs attachSubnets`,
	reflect.TypeFor[VpcSpec](): `namespaces defaultSubnet staticRoutes policyRoutes vpcPeerings enableExternal
		extraExternalSubnets enableBfd bfdPort`,
	reflect.TypeFor[StaticRoute](): `policy cidr nextHopIP ecmpMode bfdId routeTable`,
	reflect.TypeFor[PolicyRoute](): `priority match action nextHopIP`,
	reflect.TypeFor[VpcPeering]():  `remoteVpc localConnectIP`,
	reflect.TypeFor[BFDPort]():     `enabled ip nodeSelector`,
	reflect.TypeFor[VpcStatus](): `conditions standby default defaultLogicalSwitch router tcpLoadBalancer udpLoadBalancer
		sctpLoadBalancer tcpSessionLoadBalancer udpSessionLoadBalancer sctpSessionLoadBalancer subnets vpcPeerings
		enableExternal extraExternalSubnets enableBfd bfdPort`,
	reflect.TypeFor[BFDPortStatus]():     `name ip nodes`,
	reflect.TypeFor[SecurityGroupSpec](): `ingressRules egressRules allowSameGroupTraffic tier`,
	reflect.TypeFor[SecurityGroupRule](): `ipVersion protocol priority remoteType remoteAddress remoteSecurityGroup localAddress
		portRangeMin portRangeMax sourcePortRangeMin sourcePortRangeMax policy`,
	reflect.TypeFor[SecurityGroupStatus](): `conditions portGroup allowSameGroupTraffic ingressMd5 egressMd5 ingressLastSyncSuccess
		egressLastSyncSuccess`,
	reflect.TypeFor[SwitchLBRuleSpec]():   `vip namespace selector endpoints sessionAffinity ports`,
	reflect.TypeFor[SwitchLBRulePort]():   `name port targetPort protocol`,
	reflect.TypeFor[SwitchLBRuleStatus](): `ports service conditions`,

	reflect.TypeFor[DNSNameResolverSpec]():            `name`,
	reflect.TypeFor[DNSNameResolverStatus]():          `resolvedNames`,
	reflect.TypeFor[DNSNameResolverResolvedName]():    `conditions dnsName resolvedAddresses resolutionFailures`,
	reflect.TypeFor[DNSNameResolverResolvedAddress](): `ip ttlSeconds lastLookupTime`,
}

func TestNames(t *testing.T) {
	for typ, names := range kubeOVNNames {
		want := strings.Fields(names)
		var got []string
		for _, field := range reflect.VisibleFields(typ) {
			if !field.Anonymous {
				got = append(got, jsonName(field))
			}
		}
		slices.Sort(want)
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%s:\n got %q\nwant %q", typ.Name(), got, want)
		}
	}
}

func jsonName(field reflect.StructField) string {
	name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
	return name
}
