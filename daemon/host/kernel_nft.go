package host

import (
	"context"
	"fmt"
	"strconv"

	"sigs.k8s.io/knftables"
)

// apply writes one transaction with nft; it is the only process that this package ever starts.
func (o editTable) apply(ctx context.Context, k *kernel) error {
	k.tables = nil
	nft, err := k.nftFor(o.Family)
	if err != nil {
		return err
	}
	tx := nft.NewTransaction()
	if o.Drop {
		tx.Delete(&knftables.Table{})
	}
	if o.Create != nil {
		createTable(tx, *o.Create)
	}
	for _, c := range o.Rules {
		tx.Flush(&knftables.Chain{Name: c.Name})
		addRules(tx, c)
	}
	for _, e := range o.Del {
		tx.Delete(&knftables.Element{Set: e.Set, Key: []string{e.Key}})
	}
	for _, e := range o.Add {
		tx.Add(&knftables.Element{Set: e.Set, Key: []string{e.Key}})
	}
	return nft.Run(ctx, tx)
}

func (k *kernel) nftFor(family string) (knftables.Interface, error) {
	if nft, ok := k.nft[family]; ok {
		return nft, nil
	}
	nft, err := knftables.New(knftables.Family(family), TableName)
	if err != nil {
		return nil, fmt.Errorf("nft: %w", err)
	}
	k.nft[family] = nft
	return nft, nil
}

func createTable(tx *knftables.Transaction, t Table) {
	tx.Add(&knftables.Table{Comment: knftables.PtrTo("kept by heddle-daemon: changes made by hand are undone")})
	for _, s := range t.Sets {
		set := &knftables.Set{Name: s.Name, Type: s.Type}
		if s.Interval {
			set.Flags = []knftables.SetFlag{knftables.IntervalFlag}
		}
		tx.Add(set)
		for _, key := range s.Elements {
			tx.Add(&knftables.Element{Set: s.Name, Key: []string{key}})
		}
	}
	for _, c := range t.Chains {
		chain := &knftables.Chain{
			Name: c.Name, Type: knftables.PtrTo(knftables.BaseChainType(c.Type)), Hook: knftables.PtrTo(knftables.BaseChainHook(c.Hook)),
			Priority: knftables.PtrTo(knftables.BaseChainPriority(strconv.Itoa(c.Priority))),
		}
		if c.Device != "" {
			chain.Device = &c.Device
		}
		tx.Add(chain)
		addRules(tx, c)
	}
}

func addRules(tx *knftables.Transaction, c Chain) {
	for _, r := range c.Rules {
		tx.Add(&knftables.Rule{Chain: c.Name, Rule: r.Text, Comment: &r.Comment})
	}
}
