package vswitch

import (
	"context"
	"errors"
	"fmt"
)

// WaitInstalled returns when ovn-controller has installed the flows of the interface (external_ids:ovn-installed, ovn-controller(8)). It
// fails at once when ovs-vswitchd cannot open the device, and when ctx is done. Woken by the monitor; the state is
// read again at the deadline, because libovsdb may drop an event.
func (c *Client) WaitInstalled(ctx context.Context, name string) error {
	changed, done := c.changes.subscribe(func(changed string) bool { return changed == name })
	defer done()
	for {
		state, err := c.installed(ctx, name)
		if err == nil && state == "" {
			return nil
		}
		if err != nil && ctx.Err() == nil {
			return fmt.Errorf("interface %s: %w", name, err)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return c.lastLook(ctx, name)
		}
	}
}

func (c *Client) lastLook(ctx context.Context, name string) error {
	look, cancel := c.deadline(context.WithoutCancel(ctx))
	defer cancel()
	state, err := c.installed(look, name)
	if err == nil && state == "" {
		return nil
	}
	return fmt.Errorf("interface %s: %w", name, errors.Join(context.Cause(ctx), err, errors.New(state)))
}

// installed is empty when the interface works, else it says what it is waiting for.
func (c *Client) installed(ctx context.Context, name string) (string, error) {
	rows, err := c.Interfaces(ctx, func(i *Interface) bool { return i.Name == name })
	switch {
	case err != nil:
		return "", err
	case len(rows) == 0:
		return "", errors.New("the row is gone")
	case rows[0].Installed():
		return "", nil
	case rows[0].Error != nil:
		return "", fmt.Errorf("ovs-vswitchd: %s", *rows[0].Error)
	case rows[0].OFPort == nil:
		return "ovs-vswitchd has not opened the device", nil
	default:
		return "ovn-controller has not installed logical port " + rows[0].ExternalIDs[KeyIfaceID], nil
	}
}
