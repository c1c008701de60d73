package v1

// AnnotationPrefix starts every annotation and label of the primary network.
const AnnotationPrefix = "ovn.kubernetes.io/"

// Annotations that a user may set on a Pod before it has a network. The controller completes and keeps
// them, so afterwards they are the record of what the Pod has. Values of dual-stack Pods are "v4,v6".
const (
	// AnnotationLogicalSwitch names the Subnet: asked for or given (Pod), given (Node: the join Subnet),
	// or offered to the Pods of a Namespace ("s1,s2", written by the controller).
	AnnotationLogicalSwitch = AnnotationPrefix + "logical_switch"
	// AnnotationIPAddress is the address of a Pod or Node: "10.16.0.7", "fd00::7" or "10.16.0.7,fd00::7".
	AnnotationIPAddress = AnnotationPrefix + "ip_address"
	// AnnotationMACAddress is the MAC address of a Pod or Node: "0a:58:0a:10:00:07".
	AnnotationMACAddress = AnnotationPrefix + "mac_address"
)

// Annotations about the traffic of a Pod, which may change while it runs; on a Namespace or Subnet they are for the Pods in it. Values are
// numbers; ParseQoS says of what.
const (
	AnnotationIngressRate  = AnnotationPrefix + "ingress_rate"
	AnnotationEgressRate   = AnnotationPrefix + "egress_rate"
	AnnotationIngressBurst = AnnotationPrefix + "ingress_burst"
	AnnotationEgressBurst  = AnnotationPrefix + "egress_burst"
	AnnotationLatency      = AnnotationPrefix + "latency"
	AnnotationJitter       = AnnotationPrefix + "jitter"
	AnnotationLimit        = AnnotationPrefix + "limit"
	AnnotationLoss         = AnnotationPrefix + "loss"
)

// AnnotationMirror is "true" when the packets of a Pod are to be copied to the mirror interface of its node.
const AnnotationMirror = AnnotationPrefix + "mirror"

// AnnotationSecurityGroups names the SecurityGroups of a Pod, "sg1,sg2"; it may change while the Pod runs.
const AnnotationSecurityGroups = AnnotationPrefix + "security_groups"

// Annotations that the controller writes; what a user puts there is overwritten.
const (
	// AnnotationAllocated is "true" once addresses are recorded (Pod, Node).
	AnnotationAllocated = AnnotationPrefix + "allocated"
	// AnnotationRouted is "true" once the Pod's network is complete in the plan.
	AnnotationRouted = AnnotationPrefix + "routed"
	// AnnotationCIDR is the Subnet's CIDR: "v4,v6" on Pods and Nodes, "c1;c2" (one entry per Subnet) on
	// Namespaces.
	AnnotationCIDR = AnnotationPrefix + "cidr"
	// AnnotationGateway is the gateway of the Subnet: "v4,v6".
	AnnotationGateway = AnnotationPrefix + "gateway"
	// AnnotationLogicalRouter is the name of the Vpc, which is the name of its OVN router.
	AnnotationLogicalRouter = AnnotationPrefix + "logical_router"
	// AnnotationExcludeIPs shows, on a Namespace, the addresses that its Subnets never give to Pods:
	// entries of one Subnet are separated by commas, Subnets by semicolons.
	AnnotationExcludeIPs = AnnotationPrefix + "exclude_ips"
	// AnnotationPortName is, on a Node, the name of its port on the join Subnet: "node-<name>".
	AnnotationPortName = AnnotationPrefix + "port_name"
)

// AnnotationChassis is, on a Node, the OVS system-id, which is the name of the node's row in the OVN
// southbound table Chassis. The daemon of that node writes it.
const AnnotationChassis = AnnotationPrefix + "chassis"

// AnnotationHealthCheck is, on a SwitchLBRule, "false" when its endpoints are not to be asked whether they serve.
const AnnotationHealthCheck = AnnotationPrefix + "service_health_check"

// Annotations on NetworkPolicies.
const (
	// AnnotationPolicyEnforcement is "standard", which is the default, or "lax": then the policy isolates from TCP, UDP and SCTP only.
	AnnotationPolicyEnforcement = AnnotationPrefix + "network_policy_enforcement"
	// AnnotationPolicyFor lists the networks that the policy is for, separated by commas; "ovn" is the Pods' first one. Without it, it
	// is for all of them.
	AnnotationPolicyFor = AnnotationPrefix + "network_policy_for"
	// AnnotationLog is "true" when what the policy drops is logged, or what AnnotationLogActions says: "allow", "drop" or both,
	// separated by a comma. AnnotationLogRate limits how often in a second.
	AnnotationLog        = AnnotationPrefix + "enable_log"
	AnnotationLogActions = AnnotationPrefix + "log_acl_actions"
	AnnotationLogRate    = AnnotationPrefix + "acl_log_meter_rate"
)

// AnnotationTrue is the value of AnnotationAllocated, AnnotationRouted and LabelIPReserved that counts
// as set; every other value counts as not set.
const AnnotationTrue = "true"

// Labels on IP objects.
const (
	// LabelSubnet is the name of the Subnet that the address belongs to.
	LabelSubnet = AnnotationPrefix + "subnet"
	// LabelNodeName is the name of the node of the Pod that has the address.
	LabelNodeName = AnnotationPrefix + "node-name"
	// LabelIPReserved is "true" while the address stays reserved although no Pod has it; deleting such
	// an IP releases the address.
	LabelIPReserved = AnnotationPrefix + "ip_reserved"
)

const (
	// Finalizer keeps a Subnet, IP or Vpc until the controller has cleaned up behind it.
	Finalizer = "kubeovn.io/kube-ovn-controller"
	// DeprecatedFinalizer is what old releases of Kube-OVN wrote instead of Finalizer; the controller
	// replaces it where it is met.
	DeprecatedFinalizer = "kube-ovn-controller"
)

// ProviderOVN is the provider of Subnets that are OVN logical switches; an empty provider means the same.
const ProviderOVN = "ovn"

// Names that exist in every cluster unless flags of the controller say otherwise.
const (
	// DefaultVpc is the router that all Subnets without a spec.vpc belong to.
	DefaultVpc = "ovn-cluster"
	// DefaultSubnet serves the Pods of every Namespace that no other Subnet claims.
	DefaultSubnet = "ovn-default"
	// JoinSubnet connects the nodes to the router of the default Vpc.
	JoinSubnet = "join"
)

// NodePortPrefix and the name of a Node give the name of the node's port and of its IP object.
const NodePortPrefix = "node-"
