# The state the lines of `ip` and `bridge` are run in. `try` marks what not every kernel has.
try() { "$@" 2>/dev/null || echo "not in this kernel: $*"; }
cd /proc/sys/net/ipv6/conf/default
echo 0 > accept_dad
echo 0 > router_solicitations
echo 0 > accept_ra
echo 1 > mldv2_unsolicited_report_interval
ip link set lo up
ip link add eth0 address 02:00:00:00:00:10 numtxqueues 4 numrxqueues 4 type veth peer name eth0p
ip netns add ns1
ip netns add blue
ip netns set blue 7
ip link set eth0p netns ns1 address 02:00:00:00:00:11
ip -n ns1 link set lo up
ip -n ns1 addr add 192.168.1.2/24 dev eth0p
ip -n ns1 link set eth0p up
ip addr add 192.168.1.10/24 brd + dev eth0
ip addr add 192.168.1.11/24 dev eth0 label eth0:alias
ip addr add 10.9.0.1 peer 10.9.0.2/32 dev eth0
ip addr add 198.51.100.7/25 dev eth0 valid_lft 86400 preferred_lft 43200
ip link set eth0 up alias uplink txqueuelen 500 group 5
ip -6 addr add 2001:db8:1::10/64 dev eth0 noprefixroute
ip -6 addr add 2001:db8:2::10/64 dev eth0 home nodad preferred_lft 0
ip link add br0 address 02:00:00:00:00:20 type bridge stp_state 0
try ip link set br0 type bridge mcast_snooping 0
try ip link set br0 type bridge vlan_filtering 1
ip link add p0 address 02:00:00:00:00:21 type veth peer name p1 address 02:00:00:00:00:22
ip link set p0 master br0
ip link set p0 up
ip link set p1 up
ip link set br0 up
ip addr add 172.16.0.1/16 dev br0
try bridge vlan add dev p0 vid 10-12
try bridge vlan add dev p0 vid 20 pvid untagged
bridge fdb add 02:aa:00:00:00:01 dev p0 master static
try bridge fdb add 02:aa:00:00:00:02 dev p0 master vlan 10 static
for i in 2 3 4; do ip neigh add 192.168.1.$i lladdr 02:00:00:00:00:11 dev eth0 nud permanent; done
ip link add vx0 address 02:00:00:00:00:30 type vxlan id 42 local 192.168.1.10 remote 192.168.1.2 dstport 4789 ttl 64 nolearning
ip link add vx1 address 02:00:00:00:00:31 type vxlan id 43 group 239.1.1.1 dev eth0 dstport 8472 udpcsum
bridge fdb append 00:00:00:00:00:00 dev vx0 dst 192.168.1.3
bridge fdb add 02:bb:00:00:00:01 dev vx0 dst 192.168.1.4 vni 77 port 4790
ip link set vx0 up
ip link add mv0 link eth0 address 02:00:00:00:00:40 type macvlan mode bridge
ip link add mv1 link eth0 address 02:00:00:00:00:41 type macvtap mode vepa
ip link add ifb0 address 02:00:00:00:00:50 type ifb
ip tuntap add dev tun0 mode tun user 0
ip link set tun0 up
ip addr add 10.8.0.1/24 dev tun0
ip tuntap add dev tap0 mode tap multi_queue
ip link set tap0 address 02:00:00:00:00:60
ip link set mv0 up
ip link set lo mtu 65535
ip route add default via 192.168.1.1 dev eth0 proto dhcp src 192.168.1.10 metric 100
ip route add 203.0.113.0/24 via 192.168.1.2 mtu 1400 advmss 1300 window 10000 rtt 30ms initcwnd 20
ip route add 203.0.114.0/24 nexthop via 192.168.1.2 dev eth0 weight 3 nexthop dev tun0 weight 1
ip route add blackhole 10.66.0.0/16
ip route add unreachable 10.67.0.0/16
ip route add prohibit 10.68.0.0/16 metric 7
ip route add throw 10.69.0.0/16 table 100
ip route add 10.70.0.0/16 via 192.168.1.2 table 100 onlink dev eth0 proto static scope global tos 0x10
ip route add 10.71.0.0/16 dev eth0 realm 4/5 scope link
ip route add 10.72.0.0/16 via inet6 fe80::1 dev eth0
ip nexthop add id 1 via 192.168.1.2 dev eth0
ip nexthop add id 2 dev mv0
ip nexthop add id 3 blackhole
ip nexthop add id 10 group 1,2/2
ip nexthop add id 11 via fe80::1 dev eth0
ip route add 10.73.0.0/16 nhid 10
ip route add 10.74.0.0/16 nhid 1
ip -6 route add 2001:db8:9::/48 via fe80::1 dev eth0 metric 50 pref high
ip -6 route add 2001:db8:a::/48 dev eth0 table 100 expires 3000
ip -6 route add 2001:db8:b::/48 nexthop via fe80::1 dev eth0 nexthop via fe80::2 dev eth0 weight 2
ip -6 route add unreachable 2001:db8:c::/48
ip -6 route add default via fe80::1 dev eth0 proto ra metric 1024
for i in $(seq 0 199); do echo "route add 10.128.$i.0/24 via 192.168.1.2 dev eth0 proto bird"; done | ip -batch -
ip rule add from 192.168.1.0/24 lookup 100 pref 100
ip rule add fwmark 0x10/0xff iif eth0 lookup 200 pref 110
ip rule add to 10.0.0.0/8 oif eth0 unreachable pref 120
ip rule add uidrange 1000-2000 ipproto tcp dport 80-90 sport 1024 lookup main suppress_prefixlength 0 pref 130
ip rule add from all tos 0x10 blackhole pref 140
ip rule add not from 10.1.0.0/16 goto 32766 pref 150
ip rule add prohibit pref 160 to 203.0.115.0/24
ip -6 rule add from 2001:db8:1::/64 lookup 100 pref 100
ip rule add from all lookup main pref 170 suppress_ifgroup 5
ip neigh add 192.168.1.20 lladdr 02:cc:00:00:00:01 dev eth0 nud permanent
ip neigh add 192.168.1.21 lladdr 02:cc:00:00:00:02 dev eth0 nud noarp
ip neigh add 192.168.1.22 dev eth0 nud failed
ip -6 neigh add 2001:db8:1::20 lladdr 02:cc:00:00:00:03 dev eth0 router nud permanent
ip neigh add proxy 192.168.1.99 dev eth0
ip -6 neigh add proxy 2001:db8:1::99 dev eth0
try ip xfrm state add src 192.168.1.10 dst 192.168.1.2 proto esp spi 0x100 reqid 7 mode tunnel enc 'cbc(aes)' 0x00112233445566778899aabbccddeeff auth 'hmac(sha256)' 0x000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f
try ip xfrm policy add src 10.1.0.0/16 dst 10.2.0.0/16 dir out priority 100 tmpl src 192.168.1.10 dst 192.168.1.2 proto esp reqid 7 mode tunnel
ip maddr add 33:33:00:00:00:05 dev eth0
