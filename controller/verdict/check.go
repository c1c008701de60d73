package verdict

import (
	"errors"
	"fmt"
	"net/netip"
	"reflect"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/network-policy-api/apis/v1alpha1"
	"sigs.k8s.io/network-policy-api/apis/v1alpha2"
)

// ErrDomainNames is what Check says of policies with peers that this package has no answer for: what a name means is known
// at run time only. Allowed treats them as unknown fields, so that rules with them fail closed.
var ErrDomainNames = errors.New("domainNames are not evaluated")

// Check tells what in the cluster Allowed cannot judge.
func (c *Cluster) Check() error {
	var errs []error
	for _, o := range c.objects() {
		if err := check(reflect.ValueOf(o)); err != nil {
			name := reflect.ValueOf(o).Elem().FieldByName("Name")
			errs = append(errs, fmt.Errorf("%s: %w", name, err))
		}
	}
	return errors.Join(errs...)
}

// check looks at every selector, range and name in a value.
func check(v reflect.Value) error {
	if v.CanInterface() {
		switch o := v.Interface().(type) {
		case v1alpha1.DomainName, v1alpha2.DomainName:
			return ErrDomainNames
		case metav1.LabelSelector:
			_, err := metav1.LabelSelectorAsSelector(&o)
			return err
		case v1alpha1.CIDR:
			_, err := netip.ParsePrefix(string(o))
			return err
		case v1alpha2.CIDR:
			_, err := netip.ParsePrefix(string(o))
			return err
		}
	}
	return checkParts(v)
}

func checkParts(v reflect.Value) error {
	var errs []error
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			return check(v.Elem())
		}
	case reflect.Struct:
		for i := range v.NumField() {
			errs = append(errs, check(v.Field(i)))
		}
	case reflect.Slice:
		for i := range v.Len() {
			errs = append(errs, check(v.Index(i)))
		}
	}
	return errors.Join(errs...)
}
