package host

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

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
		o.whole()
		tx.Add(&knftables.Table{Comment: knftables.PtrTo("kept by heddle-daemon: changes made by hand are undone")})
	}
	o.write(tx)
	if err := nft.Run(ctx, tx); err != nil {
		return err
	}
	k.flows.changed(o)
	return nil
}

// whole makes all of a new table new.
func (o *editTable) whole() {
	o.NewChains = o.Create.Chains
	o.sets(*o.Create, Table{})
}

// write puts each thing after what it refers to: rules to sets and chains, elements to chains.
func (o *editTable) write(tx *knftables.Transaction) {
	for _, s := range o.NewSets {
		addSet(tx, s)
	}
	for _, c := range o.NewChains {
		addChain(tx, c)
	}
	for _, c := range o.NewChains {
		addRules(tx, c)
	}
	for _, c := range o.Rules {
		tx.Flush(&knftables.Chain{Name: c.Name})
		addRules(tx, c)
	}
	for _, e := range o.Del {
		tx.Delete(e.object())
	}
	for _, e := range o.Add {
		tx.Add(e.object())
	}
	for _, name := range o.DelChains {
		tx.Flush(&knftables.Chain{Name: name})
	}
	for _, name := range o.DelChains {
		tx.Delete(&knftables.Chain{Name: name})
	}
	for _, name := range o.DelSets {
		tx.Delete(&knftables.Set{Name: name})
	}
}

func (e element) object() *knftables.Element {
	key, value, isMap := strings.Cut(e.Text, " : ")
	if isMap {
		return &knftables.Element{Map: e.Set, Key: []string{key}, Value: []string{value}}
	}
	return &knftables.Element{Set: e.Set, Key: []string{key}}
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

func addSet(tx *knftables.Transaction, s Set) {
	var flags []knftables.SetFlag
	if s.Interval {
		flags = append(flags, knftables.IntervalFlag)
	}
	if s.Data == "" {
		tx.Add(&knftables.Set{Name: s.Name, Type: s.Type, Flags: flags})
		return
	}
	m := &knftables.Map{Name: s.Name, Type: s.Type + " : " + s.Data, Flags: flags}
	if s.Ports != "" {
		m.Type, m.TypeOf = "", s.expressions()
	}
	if s.Dynamic {
		m.Flags = append(m.Flags, knftables.DynamicFlag, knftables.TimeoutFlag)
		m.Timeout, m.Size = knftables.PtrTo(longestAffinity*time.Second), knftables.PtrTo(uint64(mostClients))
	}
	tx.Add(m)
}

func addChain(tx *knftables.Transaction, c Chain) {
	chain := &knftables.Chain{Name: c.Name}
	if c.Hook != "" {
		chain.Type = knftables.PtrTo(knftables.BaseChainType(c.Type))
		chain.Hook = knftables.PtrTo(knftables.BaseChainHook(c.Hook))
		chain.Priority = knftables.PtrTo(knftables.BaseChainPriority(strconv.Itoa(c.Priority)))
	}
	if c.Device != "" {
		chain.Device = &c.Device
	}
	tx.Add(chain)
}

func addRules(tx *knftables.Transaction, c Chain) {
	for _, r := range c.Rules {
		tx.Add(&knftables.Rule{Chain: c.Name, Rule: r.Text, Comment: &r.Comment})
	}
}
