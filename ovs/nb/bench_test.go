package nb_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/heddle-net/heddle/ovs/nb"
	"github.com/heddle-net/heddle/ovs/nb/db"
	"github.com/heddle-net/heddle/ovs/ovstest"
)

// The benchmarks here stand for a database with 10,000 ports on 100 switches.
const benchPorts, benchSwitches = 10_000, 100

func benchPort(i int) nb.Want {
	name := fmt.Sprintf("web-%05d.default", i)
	row := lsp(name, fmt.Sprintf("s%d", i%benchSwitches), fmt.Sprintf("0a:58:0a:10:%02x:%02x 10.16.%d.%d", i>>8, i&255, i>>8, i&255))
	row.Model.(*db.LogicalSwitchPort).Options = map[string]string{"iface-id-ver": fmt.Sprintf("0a1b2c3d-4e5f-6071-8293-%012d", i)}
	return want(owner("pod", "default/"+name), row)
}

// filled is a connection to a database with that many ports.
func filled(b *testing.B, ports int) (*ovstest.Server, *nb.Conn) {
	server := ovstest.StartServer(b, ovstest.NorthboundSchema)
	conn := dial(b, server)
	var wants []nb.Want
	for i := range benchSwitches {
		name := fmt.Sprintf("s%d", i)
		wants = append(wants, want(owner("subnet", name), ls(name)))
	}
	commit(b, conn, wants)
	for i := 0; i < ports; i += 100 {
		commit(b, conn, someWants(i, 100))
	}
	return server, conn
}

func someWants(first, n int) []nb.Want {
	wants := make([]nb.Want, n)
	for i := range wants {
		wants[i] = benchPort(first + i)
	}
	return wants
}

// gone are the same owners without rows.
func gone(wants []nb.Want) []nb.Want {
	empty := make([]nb.Want, len(wants))
	for i, w := range wants {
		empty[i] = nb.Want{Owner: w.Owner}
	}
	return empty
}

func commit(b *testing.B, conn *nb.Conn, wants []nb.Want) {
	b.Helper()
	if err := conn.Commit(b.Context(), nb.Plan(conn, wants)); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkPlanNothing compares owners that agree with the database, one row each.
func BenchmarkPlanNothing(b *testing.B) {
	server, _ := filled(b, benchPorts)
	conn := dial(b, server) // a fresh process, as in an audit
	wants := someWants(0, 1000)
	b.ReportAllocs()
	for b.Loop() {
		if txn := nb.Plan(conn, wants); !txn.Empty() {
			b.Fatal(txn)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(wants)), "ns/row")
}

// BenchmarkCommit adds and removes ports, so many in a transaction.
func BenchmarkCommit(b *testing.B) {
	_, conn := filled(b, benchPorts)
	for _, size := range []int{1, 10, 100, 1000} {
		b.Run(fmt.Sprintf("rows=%d", size), func(b *testing.B) {
			wants := someWants(benchPorts, size)
			var adding time.Duration
			for b.Loop() {
				started := time.Now()
				commit(b, conn, wants)
				adding += time.Since(started)
				commit(b, conn, gone(wants))
			}
			b.ReportMetric(float64(b.N*size)/adding.Seconds(), "rows-added/s")
		})
	}
}

// BenchmarkDial downloads and indexes the database.
func BenchmarkDial(b *testing.B) {
	server, _ := filled(b, benchPorts)
	b.ReportAllocs()
	for b.Loop() {
		conn := dial(b, server)
		conn.Close()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/benchPorts, "ns/row")
}

// BenchmarkMembers adds one member to an address set of 10,000, by mutation.
func BenchmarkMembers(b *testing.B) {
	conn := dial(b, ovstest.StartServer(b, ovstest.NorthboundSchema))
	members := make([]string, 10_000)
	for i := range members {
		members[i] = fmt.Sprintf("10.16.%d.%d", i>>8, i&255)
	}
	all, fewer := want(owner("group", "g"), set("g", members...)), want(owner("group", "g"), set("g", members[1:]...))
	for b.Loop() {
		commit(b, conn, []nb.Want{all})
		commit(b, conn, []nb.Want{fewer})
	}
}
