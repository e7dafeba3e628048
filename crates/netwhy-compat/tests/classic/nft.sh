ip link set lo up
nft -f - <<'RULES'
table ip filter {
	chain input {
		type filter hook input priority filter; policy accept;
	}
}
table inet filter {
	comment "main table"
	counter cnt1 {
		comment "c one"
	}

	counter cnt2 {
	}

	quota q1 {
		over 10 mbytes
	}

	quota q2 {
		25 mbytes
	}

	limit l1 {
		rate 10/second burst 8 packets
	}

	limit l2 {
		rate over 10 kbytes/second burst 20 kbytes
	}

	ct helper ftp-std {
		type "ftp" protocol tcp
		l3proto ip
	}

	ct timeout ctt {
		protocol tcp
		l3proto ip
		policy = { established : 100, close : 20 }
	}

	ct expectation cte {
		protocol udp
		dport 9876
		timeout 2m
		size 12
		l3proto ip
	}

	synproxy sp1 {
		mss 1460
		wscale 7
		timestamp sack-perm
	}

	set s1 {
		type ipv4_addr
		comment "a set"
		elements = { 192.0.2.1, 192.0.2.7,
			     203.0.113.5 }
	}

	set s2 {
		type ipv4_addr
		flags interval
		auto-merge
		elements = { 10.0.0.0/8, 172.16.0.0/12,
			     192.168.1.5-192.168.1.9 }
	}

	set s3 {
		type inet_service
		size 128
		timeout 1h
		gc-interval 10s
		elements = { 22, 80 timeout 10s, 443 comment "https" }
	}

	set s4 {
		type ipv4_addr . inet_service
		elements = { 192.0.2.1 . 80,
			     192.0.2.2 . 443 }
	}

	set s5 {
		type ipv4_addr . inet_proto . inet_service
		flags interval
		elements = { 192.0.2.0/24 . tcp . 80-90 }
	}

	set s6 {
		type ipv4_addr
		size 65535
		flags dynamic,timeout
		timeout 1m
	}

	set s7 {
		type ifname
		elements = { "eth0",
			     "eth1" }
	}

	set s8 {
		type ipv6_addr
		flags interval
		elements = { 2001:db8::/32,
			     2001:db9::1 }
	}

	set s9 {
		type ether_addr
		elements = { 00:11:22:33:44:55 }
	}

	set s10 {
		type mark
		elements = { 0x00000001, 0x000000ff }
	}

	set s11 {
		typeof ip saddr . tcp dport
		elements = { 192.0.2.1 . 80 }
	}

	set s12 {
		type ipv4_addr
		counter
		elements = { 192.0.2.1 counter, 192.0.2.7 counter }
	}

	map m1 {
		type ipv4_addr : verdict
		elements = { 192.0.2.1 : accept, 192.0.2.2 : drop,
			     192.0.2.3 : jump sub }
	}

	map m2 {
		type inet_service : ipv4_addr
		elements = { 80 : 192.0.2.80, 443 : 192.0.2.43 }
	}

	map m3 {
		type ipv4_addr : counter
		elements = { 192.0.2.1 : "cnt1" }
	}

	map m4 {
		type ipv4_addr : mark
		flags interval
		elements = { 10.0.0.0/8 : 0x00000001, 11.0.0.0/8 : 0x00000002 }
	}

	map m5 {
		type inet_service : ipv4_addr . inet_service
		elements = { 80 : 192.0.2.80 . 8080 }
	}

	chain sub {
		counter comment "in sub"
	}

	chain input {
		type filter hook input priority filter; policy drop;
		ct state established,related accept
		ct state invalid drop
		iif "lo" accept
		iifname "eth0" tcp dport 22 accept
		tcp dport { 80, 443 } counter accept
		tcp dport 1000-2000 accept
		tcp dport != 22 tcp sport > 1024 accept
		udp dport { 53, 67-68, 1000-2000 } accept
		ip saddr 192.0.2.0/24 drop
		ip saddr 192.0.2.5-192.0.2.9 drop
		ip6 saddr 2001:db8::/32 drop
		ip6 saddr fe80::1 drop
		ip protocol icmp accept
		icmp type echo-request limit rate 5/second accept
		icmpv6 type { nd-router-advert, nd-neighbor-solicit } accept
		icmp type { echo-reply, echo-request } accept
		meta l4proto { tcp, udp } accept
		meta l4proto tcp accept
		ip saddr @s1 drop
		ip saddr != @s2 drop
		ip saddr . tcp dport @s4 accept
		ip saddr . ip protocol . th dport @s5 accept
		ip saddr vmap @m1
		tcp dport vmap { 22 : accept, 80 : jump sub, 443 : drop }
		tcp flags syn / syn,ack accept
		tcp flags syn / syn,ack accept
		tcp flags { syn, ack } accept
		tcp flags syn accept
		tcp flags != syn / fin,syn,rst,ack ct state new drop
		meta mark 0x00000001 accept
		meta mark set 0x00000005
		meta mark & 0x000000ff == 0x00000010 accept
		meta mark set meta mark | 0x00000010
		meta mark set meta mark & 0xffff00ff
		ct mark set meta mark
		meta mark set ct mark
		ct mark 0x00000005 accept
		meta skuid 1000 accept
		meta skgid 0 accept
		iifgroup "default" accept
		meta pkttype broadcast drop
		meta priority set 1:10
		meta priority 1:10 accept
		meta nftrace set 1
		meta length > 1000 drop
		meta protocol ip accept
		meta cpu 0 accept
		meta nfproto ipv4 accept
		meta time > "2024-01-01 00:00:00" accept
		meta hour "10:00"-"18:00" accept
		meta day "Monday" accept
		meta cgroup 5 accept
		meta rtclassid 5 accept
		meta random 5 accept
		ct status dnat accept
		ct status assured,confirmed accept
		ct direction original accept
		ct expiration 10s accept
		ct helper "ftp" accept
		ct count over 10 reject
		ct bytes > 1000 accept
		ct original packets > 10 accept
		ct original ip saddr 192.0.2.1 accept
		ct zone 5 accept
		ct l3proto ipv4 accept
		ct label 5 accept
		ct id 5 accept
		ct helper set "ftp-std"
		counter name "cnt1"
		quota name "q1" drop
		limit name "l1" accept
		limit rate over 10/minute drop
		limit rate 10 mbytes/second accept
		quota over 10 mbytes drop
		log prefix "hello: " level debug
		log prefix "grp" group 2 snaplen 100 queue-threshold 5
		log flags all
		log flags tcp sequence,options
		log flags skuid
		log level audit
		reject
		meta l4proto tcp reject with tcp reset
		reject with icmp port-unreachable
		reject with icmpx admin-prohibited
		ip protocol tcp reject with tcp reset
		ip saddr 192.0.2.1 reject with icmp host-unreachable
		ip6 saddr ::1 reject with icmpv6 no-route
		fib saddr . iif oif missing drop
		fib daddr type local accept
		fib saddr oif "lo" accept
		fib daddr . iif type { local, broadcast } accept
		rt classid 5 accept
		rt ip nexthop 192.0.2.1 accept
		socket transparent 1 accept
		socket mark 0x00000001 accept
		socket wildcard 0 accept
		ip ttl 64 accept
		ip dscp cs1 accept
		ip dscp set cs2
		ip ecn ect0 accept
		ip length 100 accept
		ip id 5 accept
		ip frag-off & 8191 != 0 drop
		ip version 4 accept
		ip hdrlength 5 accept
		ip checksum 5 accept
		ip6 hoplimit 64 accept
		ip6 flowlabel 5 accept
		ip6 dscp cs1 accept
		ip6 nexthdr tcp accept
		exthdr frag exists accept
		frag id 5 accept
		rt type 0 drop
		hbh nexthdr tcp accept
		tcp option maxseg size 1400 accept
		tcp option maxseg size set 1360
		tcp option sack-perm exists accept
		tcp option timestamp tsval 5 accept
		tcp window 100 accept
		tcp sequence 5 accept
		tcp ackseq 5 accept
		tcp doff 5 accept
		tcp urgptr 5 accept
		udp length 100 accept
		udp checksum 5 accept
		sctp dport 5 accept
		dccp dport 5 accept
		udplite dport 5 accept
		ah spi 5 accept
		esp spi 5 accept
		comp cpi 5 accept
		th dport 53 accept
		icmp code 5 accept
		icmp type { echo-reply, echo-request } icmp id 5 accept
		icmp type { echo-reply, echo-request } icmp sequence 5 accept
		icmpv6 type { echo-request, echo-reply } icmpv6 id 5 accept
		icmpv6 code admin-prohibited accept
		icmpv6 mtu 1280 accept
		ether saddr 00:11:22:33:44:55 accept
		ether type ip accept
		th dport 80 accept
		@nh,0,8 & 0xf0 == 0x40 accept
		@ll,0,48 0x1 accept
		numgen random mod 2 0 drop
		numgen inc mod 3 < 2 drop
		jhash ip saddr mod 2 0 drop
		jhash ip saddr . tcp dport mod 4 seed 0xdeadbeef offset 2 3 drop
		symhash mod 2 1 drop
		notrack
		add @s6 { ip saddr }
		update @s6 { ip saddr timeout 30s counter }
		add @s6 { ip saddr limit rate 10/second }
		goto sub
		jump sub
		return
		continue
		synproxy mss 1460 wscale 7 timestamp sack-perm
		synproxy name "sp1"
		osf name "Linux"
		meta ipsec exists accept
		ipsec in reqid 5 accept
		iifname { "lo", "eth0" } accept
		iifname "eth*" accept
		oifname != "lo" drop
		iif "lo" oif "lo" accept
		meta iiftype ether accept
		counter accept
		ip daddr set 192.0.2.9
		ip saddr { 10.0.0.0/8, 192.168.0.0/16 } accept
		ip saddr 192.0.2.1 tcp dport 80 accept
		ip saddr 192.0.2.0/24 accept
		ip saddr . ip daddr { 192.0.2.1 . 192.0.2.2 } accept
		ip saddr . tcp dport vmap { 192.0.2.1 . 80 : accept, 192.0.2.2 . 443 : drop }
		meta mark set tcp dport map { 80 : 0x00000001, 443 : 0x00000002 }
		counter name tcp dport map { 80 : "cnt1", 443 : "cnt2" }
		ct timeout set "ctt"
		ct expectation set "cte"
		ct event set new
		ct mark set meta mark | 0x00000004
	}
}
table ip nat {
	map dn {
		type inet_service : ipv4_addr . inet_service
		elements = { 80 : 192.0.2.80 . 8080 }
	}

	chain pre {
		type nat hook prerouting priority dstnat; policy accept;
		tcp dport 80 dnat to 192.0.2.10:8080
		tcp dport 81 dnat to 192.0.2.10
		tcp dport 82 dnat to 192.0.2.10-192.0.2.20
		tcp dport 83 dnat to 192.0.2.10:80-90
		tcp dport 84 dnat to tcp dport map { 80 : 192.0.2.1, 443 : 192.0.2.2 }
		tcp dport 85 redirect
		tcp dport 86 redirect to :8080
		dnat ip to tcp dport map { 80 : 192.0.2.1 . 8080 }
		dnat to 192.0.2.1 persistent
	}

	chain post {
		type nat hook postrouting priority srcnat; policy accept;
		oifname "eth0" masquerade
		masquerade random
		ip saddr 10.0.0.0/8 snat to 192.0.2.1
		snat to 192.0.2.1-192.0.2.9
		snat to 192.0.2.1 random,persistent
		snat ip prefix to ip saddr map { 10.0.0.0/24 : 192.0.2.0/24 }
	}
}
table ip6 nat6 {
	chain pre {
		type nat hook prerouting priority dstnat; policy accept;
		tcp dport 80 dnat to [2001:db8::1]:8080
		dnat to 2001:db8::1
	}
}
table inet natx {
	chain pre {
		type nat hook prerouting priority dstnat; policy accept;
		tcp dport 80 dnat ip to 192.0.2.10:8080
		ip saddr 1.2.3.4 tcp dport 80 dnat ip to 192.0.2.10
		dnat ip6 to 2001:db8::1
	}

	chain mangle {
		type filter hook prerouting priority mangle; policy accept;
		tcp dport 80 tproxy ip to 127.0.0.1:8080
		tcp dport 80 tproxy to :8080
	}
}
table bridge br {
	chain c1 {
		type filter hook forward priority 0; policy accept;
		ether daddr 00:11:22:33:44:55 drop
		ether type arp accept
		vlan id 5 accept
		vlan id 5 ip saddr 192.0.2.1 accept
		ip saddr 192.0.2.1 accept
		ether saddr & ff:ff:ff:00:00:00 == 00:11:22:00:00:00 accept
		arp operation request accept
		ether type 8021q accept
		ether saddr . ip saddr { 00:11:22:33:44:55 . 192.0.2.1 } accept
		vlan pcp 3 accept
		ether type 8021q vlan type ip accept
		ip6 saddr ::1 tcp dport 22 accept
		tcp dport 22 accept
		icmp type echo-request accept
	}
}
table arp ar {
	chain in {
		type filter hook input priority filter; policy accept;
		arp operation request accept
		arp saddr ip 192.0.2.1 drop
		arp htype 1 accept
		arp daddr ether 00:11:22:33:44:55 accept
	}
}
table netdev nd {
	chain ing {
		type filter hook ingress device "lo" priority -500; policy accept;
		ip saddr 192.0.2.1 drop
		udp dport 53 drop
		fwd to "lo"
		dup to "lo"
		vlan id 3 accept
	}

	chain egr {
		type filter hook egress device "lo" priority filter + 5; policy accept;
		ip6 daddr ::1 drop
	}
}
table inet dorm {
	flags dormant

	chain x {
		type route hook output priority raw; policy accept;
	}
}
table inet t2 {
	chain c1 {
		type filter hook forward priority filter + 5; policy accept;
		log prefix "x" group 0
		ct state established,new ip protocol tcp accept
		tcp dport 22 accept
		meta l4proto { tcp, udp, esp } drop
		meta skuid 0 accept
		meta hour "10:00"-"11:00" accept
		icmp type echo-request accept
		ip dscp cs1 accept
		fib daddr type local accept
		tcp flags syn / syn,ack accept
		meta mark 0x00000003 tcp dport 22 comment "hello"
		ct mark & 0x000000ff == 0x00000003
		oifname "eth0" iif "lo"
		ip protocol 253 accept
		ip protocol ipencap accept
		ip protocol != tcp accept
	}

	chain policyless {
		type filter hook input priority filter - 1; policy accept;
	}

	chain withcomment {
		comment "chain comment"
	}
}
table inet t {
	set a {
		type ipv4_addr
		policy memory
		size 100
		flags interval,timeout
		counter
		auto-merge
		timeout 1h
		gc-interval 10s
		comment "all"
		elements = { 1.2.3.4 counter, 10.0.0.0/8 counter timeout 5m comment "x" }
	}

	set b {
		type ipv4_addr
		flags constant
		elements = { 1.2.3.4 }
	}

	set c {
		type ipv4_addr
		flags constant,dynamic
	}

	set d {
		type ipv4_addr
		size 10
		flags dynamic
		quota 10 mbytes
	}

	set e {
		type ipv4_addr
		flags timeout
		elements = { 1.2.3.4 timeout 1m, 1.2.3.5 }
	}

	set f {
		type ipv4_addr
		limit rate 10/second
	}

	set g {
		typeof ip saddr
		flags dynamic
	}

	set h {
		typeof meta mark . tcp dport
	}

	set i {
		typeof iifname . ip6 daddr
	}

	map j {
		typeof ip saddr : meta mark
	}

	map k {
		typeof ip saddr : ip daddr
		counter
	}

	map l {
		type ipv4_addr : quota
	}

	map m {
		type ipv4_addr : interval ipv4_addr
		flags interval
		elements = { 10.0.0.0/8 : 1.1.1.1-1.1.1.9 }
	}

	set n {
		typeof vlan id
	}

	set o {
		typeof ct state
	}

	set p {
		typeof ether saddr
	}

	map q {
		type ipv4_addr : verdict
		elements = { 1.1.1.1 comment "hello" : drop, * : accept }
	}

	set r {
		type ipv4_addr
		elements = { * }
	}

	set s {
		type ipv4_addr
		ct count over 5
	}

	set t {
		type inet_service
		flags interval
		counter
		elements = { 80-90 counter, 100 counter }
	}

	set u {
		typeof ct original ip saddr
	}

	set v {
		typeof osf name
	}

	set w {
		typeof ip protocol . th dport
	}
}
RULES
