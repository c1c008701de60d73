package heddle

import (
	"strings"
	"testing"
)

// TestSchemaRejects holds what a user reads who mistypes a value.
func TestSchemaRejects(t *testing.T) {
	for values, want := range map[string]string{
		"controler: {replicas: 2}":                                    "at '': additional properties 'controler' not allowed",
		"controller: {replica: 2}":                                    "at '/controller': additional properties 'replica' not allowed",
		"controller: {replicas: 0}":                                   "at '/controller/replicas': minimum: got 0, want 1",
		"controller: {replicas: two}":                                 "at '/controller/replicas': got string, want integer",
		"controller: {logLevel: 11}":                                  "at '/controller/logLevel': maximum: got 11, want 10",
		"controller: {extraArgs: [v=2]}":                              "at '/controller/extraArgs/0': 'v=2' does not match pattern '^-'",
		"controller: {resources: {limit: {}}}":                        "at '/controller/resources': additional properties 'limit' not allowed",
		"controller: {resources: {limits: {memory: 1 GB}}}":           "at '/controller/resources/limits/memory': '1 GB' does not match",
		"controller: {tolerations: [{operator: Exist}]}":              "at '/controller/tolerations/0/operator': value must be one of 'Exists', 'Equal'",
		"daemon: {maxUnavailable: 0}":                                 "at '/daemon/maxUnavailable': minimum: got 0, want 1",
		"daemon: {maxUnavailable: 200%}":                              "at '/daemon/maxUnavailable': '200%' does not match",
		"image: {pullPolicy: Sometimes}":                              "at '/image/pullPolicy': value must be one of 'Always', 'IfNotPresent', 'Never'",
		"image: {repository: ''}":                                     "at '/image/repository': minLength: got 0, want 1",
		"imagePullSecrets: [mine]":                                    "at '/imagePullSecrets/0': got string, want object",
		"ovs: {image: {tag: ''}}":                                     "at '/ovs/image/tag': minLength: got 0, want 1",
		"apiServer: {host: 'https://192.0.2.1:6443'}":                 "at '/apiServer/host': 'https://192.0.2.1:6443' does not match",
		"apiServer: {port: 70000}":                                    "at '/apiServer/port': maximum: got 70,000, want 65,535",
		"network: {datapath: dpdk}":                                   "at '/network/datapath': value must be one of 'auto', 'system', 'netdev'",
		"network: {encapType: stt}":                                   "at '/network/encapType': value must be one of 'geneve', 'vxlan'",
		"network: {mtu: 100}":                                         "at '/network/mtu': minimum: got 100, want 576",
		"network: {defaultSubnet: {cidr: 10.16.0.0}}":                 "at '/network/defaultSubnet/cidr': '10.16.0.0' does not match",
		"network: {joinSubnet: {cidr: '10.0.0.0/16, fd00::/64'}}":     "at '/network/joinSubnet/cidr': '10.0.0.0/16, fd00::/64' does not match",
		"network: {serviceCidr: ''}":                                  "at '/network/serviceCidr': '' does not match",
		"network: {defaultSubnet: {name: Ovn_Default}}":               "at '/network/defaultSubnet/name': 'Ovn_Default' does not match",
		"cni: {confDir: etc/cni}":                                     "at '/cni/confDir': 'etc/cni' does not match pattern '^/.'",
		"tls: {validityDays: 0}":                                      "at '/tls/validityDays': minimum: got 0, want 1",
		"ovnCentral: {storage: {type: nfs}}":                          "at '/ovnCentral/storage/type': value must be one of 'hostPath', 'persistentVolumeClaim', 'emptyDir'",
		"ovnCentral: {storage: {persistentVolumeClaim: {size: big}}}": "at '/ovnCentral/storage/persistentVolumeClaim/size': 'big' does not match",
		"ovnCentral: {inactivityProbe: 10}":                           "at '/ovnCentral/inactivityProbe': minimum: got 10, want 1,000",
		"ovnCentral: {northdThreads: 0}":                              "at '/ovnCentral/northdThreads': minimum: got 0, want 1",
		"teardown: 'yes'":                                             "at '/teardown': got string, want boolean",
		"metrics: {podMonitor: {labels: {release: 1}}}":               "at '/metrics/podMonitor/labels/release': got number, want string",
		"crds: {keep: true}":                                          "at '/crds': additional properties 'keep' not allowed",
	} {
		t.Run(values, func(t *testing.T) {
			out, err := helm(t, values, "template", "heddle", ".", "--values=-")
			if err == nil || !strings.Contains(out, want) {
				t.Errorf("error %v\n%s\nwant %s", err, out, want)
			}
		})
	}
}

// TestSchemaAccepts: what is unusual and right.
func TestSchemaAccepts(t *testing.T) {
	for _, values := range []string{
		"network: {defaultSubnet: {cidr: 'fd00:10:16::/112'}, joinSubnet: {cidr: 'fd00:100:64::/112'}, serviceCidr: 'fd00:10:96::/112'}",
		"network: {defaultSubnet: {cidr: '10.16.0.0/16,fd00:10:16::/112'}}",
		"network: {mtu: 9000}",
		"apiServer: {host: '2001:db8::1'}",
		"apiServer: {host: api.example.org, port: 443}",
		"daemon: {maxUnavailable: 3}",
		"controller: {resources: {limits: {cpu: 2, memory: 1.5Gi}}}",
		"ovnCentral: {inactivityProbe: 0}",
		"global: {anything: goes}",
	} {
		t.Run(values, func(t *testing.T) { render(t, ".", values) })
	}
}
