ip link set lo up
nft -f - <<'RULES'
table inet track {
	chain in {
		type filter hook input priority 0
		ct state established counter
	}
}
RULES
sysctl -qw net.netfilter.nf_conntrack_acct=1 net.netfilter.nf_conntrack_timestamp=1
conntrack -I -p tcp -s 192.0.2.1 -d 198.51.100.2 --sport 1000 --dport 80 --state ESTABLISHED --timeout 1000 --status ASSURED,SEEN_REPLY -m 5 2>/dev/null
conntrack -I -p tcp -s 192.0.2.1 -d 198.51.100.2 --sport 1001 --dport 80 --state SYN_SENT --timeout 1000 2>/dev/null
conntrack -I -p tcp -s 192.0.2.3 -d 198.51.100.2 --sport 1001 --dport 80 --state TIME_WAIT --timeout 1000 --status ASSURED,SEEN_REPLY -w 7 2>/dev/null
conntrack -I -p tcp -s 192.0.2.4 -d 198.51.100.2 --sport 1001 --dport 443 --state CLOSE --timeout 1000 --dst-nat 203.0.113.9:8443 --status SEEN_REPLY 2>/dev/null
conntrack -I -p tcp -s 192.0.2.4 -d 198.51.100.2 --sport 1002 --dport 443 --state ESTABLISHED --timeout 1000 --src-nat 203.0.113.1 --status ASSURED,SEEN_REPLY 2>/dev/null
conntrack -I -p udp -s 192.0.2.1 -d 198.51.100.2 --sport 53 --dport 5353 --timeout 100 2>/dev/null
conntrack -I -p udp -s 192.0.2.1 -d 198.51.100.2 --sport 53 --dport 5354 --timeout 100 --status ASSURED,SEEN_REPLY 2>/dev/null
conntrack -I -p icmp -s 192.0.2.1 -d 198.51.100.2 --icmp-type 8 --icmp-code 0 --icmp-id 77 --timeout 100 2>/dev/null
conntrack -I -p sctp -s 192.0.2.1 -d 198.51.100.2 --sport 1 --dport 2 --state ESTABLISHED --timeout 100 --orig-vtag 1 --reply-vtag 2 2>/dev/null
conntrack -I -p gre -s 192.0.2.1 -d 198.51.100.2 --srckey 1 --dstkey 2 --timeout 100 2>/dev/null
conntrack -I -p udplite -s 192.0.2.1 -d 198.51.100.2 --sport 53 --dport 5354 --timeout 100 2>/dev/null
conntrack -I -p 89 -s 192.0.2.1 -d 198.51.100.2 --timeout 100 2>/dev/null
conntrack -I -p tcp -s 2001:db8::1 -d 2001:db8::2 --sport 1000 --dport 80 --state ESTABLISHED --timeout 1000 --status ASSURED,SEEN_REPLY 2>/dev/null
conntrack -I -p icmpv6 -s 2001:db8::1 -d 2001:db8::2 --icmpv6-type 128 --icmpv6-code 0 --icmpv6-id 77 --timeout 100 2>/dev/null
