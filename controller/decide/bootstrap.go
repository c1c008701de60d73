package decide

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/heddle-net/heddle/crds/v1"
)

// Defaults are the objects that every cluster has.
type Defaults struct {
	Vpc           string
	Subnet        string
	SubnetCIDR    string // "v4", "v6" or "v4,v6"
	JoinSubnet    string
	JoinCIDR      string
	SubnetGateway string // empty: the first usable address
}

// Bootstrap creates the default Vpc and Subnets where they are absent. What is there is the user's.
func Bootstrap(ctx context.Context, c client.Client, d Defaults) error {
	objects := []client.Object{
		&v1.Vpc{ObjectMeta: metav1.ObjectMeta{Name: d.Vpc}},
		&v1.Subnet{ObjectMeta: metav1.ObjectMeta{Name: d.JoinSubnet}, Spec: v1.SubnetSpec{
			CIDRBlock: d.JoinCIDR, Vpc: d.Vpc, Provider: v1.ProviderOVN, GatewayType: v1.GatewayTypeDistributed,
		}},
		&v1.Subnet{ObjectMeta: metav1.ObjectMeta{Name: d.Subnet}, Spec: v1.SubnetSpec{
			CIDRBlock: d.SubnetCIDR, Gateway: d.SubnetGateway, Vpc: d.Vpc, Provider: v1.ProviderOVN, Default: true, NatOutgoing: true,
			GatewayType: v1.GatewayTypeDistributed,
		}},
	}
	for _, obj := range objects {
		if err := c.Create(ctx, obj); err != nil && !apierrors.IsAlreadyExists(err) {
			return fmt.Errorf("create the default %T %s: %w", obj, obj.GetName(), err)
		}
	}
	return nil
}
