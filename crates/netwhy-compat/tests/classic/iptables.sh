ip link set lo up
for back in nft legacy; do
I=iptables-$back
$I -N SUB; $I -N "LOG-DROP"
$I -P FORWARD DROP
$I -A INPUT -i lo -j ACCEPT
$I -A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
$I -A INPUT -m state --state INVALID -j DROP
$I -A INPUT -p tcp --dport 22 -j ACCEPT
$I -A INPUT -p tcp -m tcp --dport 80:90 -m comment --comment "web server" -j ACCEPT
$I -A INPUT -p tcp -m multiport --dports 443,8000:8100 -j ACCEPT
$I -A INPUT -p udp --sport 53 -j ACCEPT
$I -A INPUT -p udp ! --dport 53 -j ACCEPT
$I -A INPUT -p icmp --icmp-type echo-request -j ACCEPT
$I -A INPUT -p icmp -m icmp --icmp-type 3/1 -j ACCEPT
$I -A INPUT -p icmp -j ACCEPT
$I -A INPUT -s 192.0.2.0/24 -d 198.51.100.1 -j DROP
$I -A INPUT ! -s 10.0.0.0/8 -i eth0 -j REJECT
$I -A INPUT -s 10.1.2.3 -p tcp -j REJECT --reject-with tcp-reset
$I -A INPUT -j REJECT --reject-with icmp-host-prohibited
$I -A INPUT -m limit --limit 5/min --limit-burst 7 -j LOG --log-prefix "IPT-INPUT-DROP: " --log-level 4
$I -A INPUT -j LOG --log-prefix "x" --log-level debug --log-tcp-options --log-ip-options --log-uid --log-tcp-sequence
$I -A INPUT -p tcp --tcp-flags SYN,RST SYN -j SUB
$I -A INPUT -p tcp --syn -j SUB
$I -A INPUT -p tcp ! --syn -m state --state NEW -j DROP
$I -A INPUT -m mark --mark 0x1/0xff -j ACCEPT
$I -A INPUT -m mac --mac-source 00:11:22:33:44:55 -j ACCEPT
$I -A INPUT -m iprange --src-range 192.0.2.5-192.0.2.9 -j ACCEPT
$I -A INPUT -m addrtype --dst-type LOCAL -j ACCEPT
$I -A INPUT -m pkttype --pkt-type broadcast -j DROP
$I -A INPUT -m connlimit --connlimit-above 10 --connlimit-mask 32 -j REJECT
$I -A INPUT -m length --length 100:200 -j ACCEPT
$I -A INPUT -m ttl --ttl-lt 5 -j DROP
$I -A INPUT -m tos --tos 0x10 -j ACCEPT
$I -A INPUT -m dscp --dscp 0x0a -j ACCEPT
$I -A INPUT -m statistic --mode random --probability 0.5 -j DROP
$I -A INPUT -m connmark --mark 0x5 -j ACCEPT
$I -A INPUT -f -j DROP
$I -A INPUT -p 89 -j ACCEPT
$I -A INPUT -j NFLOG --nflog-group 2 --nflog-prefix "pfx"
$I -A INPUT -j NFQUEUE --queue-num 3 --queue-bypass
$I -A INPUT -j SUB
$I -A INPUT -g SUB
$I -A INPUT
$I -A INPUT -p tcp
$I -A SUB -j RETURN
$I -A LOG-DROP -j DROP
$I -A OUTPUT -o eth0 ! -d 10.0.0.0/8 -m owner --uid-owner 1000 -j ACCEPT
$I -A OUTPUT -m owner ! --gid-owner 5 -j ACCEPT
$I -A FORWARD -i eth+ -o br0 -j ACCEPT
$I -A FORWARD -p tcp --tcp-flags SYN,RST SYN -j TCPMSS --clamp-mss-to-pmtu
$I -A FORWARD -m physdev --physdev-in eth0 -j ACCEPT
$I -t nat -A PREROUTING -p tcp --dport 8080 -j DNAT --to-destination 192.0.2.10:80
$I -t nat -A PREROUTING -p tcp --dport 81 -j REDIRECT --to-ports 8081
$I -t nat -A PREROUTING -d 1.2.3.4 -j NETMAP --to 192.0.2.0/24
$I -t nat -A POSTROUTING -s 10.0.0.0/8 -o eth0 -j MASQUERADE
$I -t nat -A POSTROUTING -j MASQUERADE --random
$I -t nat -A POSTROUTING -p tcp -j MASQUERADE --to-ports 1024-2048
$I -t nat -A POSTROUTING -j SNAT --to-source 192.0.2.1-192.0.2.9 --persistent
$I -t nat -A OUTPUT -d 127.0.0.1 -p tcp --dport 3306 -j DNAT --to-destination 192.0.2.3
$I -t mangle -A PREROUTING -j MARK --set-mark 0x5
$I -t mangle -A PREROUTING -j MARK --set-xmark 0x5/0xff
$I -t mangle -A PREROUTING -j CONNMARK --save-mark
$I -t mangle -A PREROUTING -j CONNMARK --restore-mark --nfmask 0xff --ctmask 0xff
$I -t mangle -A PREROUTING -p tcp --dport 80 -j TPROXY --on-port 8080 --on-ip 127.0.0.1 --tproxy-mark 0x1/0x1
$I -t mangle -A POSTROUTING -j TTL --ttl-set 64
$I -t mangle -A POSTROUTING -j DSCP --set-dscp 0x10
$I -t mangle -A POSTROUTING -j TOS --set-tos 0x10
$I -t mangle -A POSTROUTING -j CLASSIFY --set-class 1:10
$I -t raw -A PREROUTING -p tcp --dport 80 -j TRACE
$I -t raw -A PREROUTING -p udp -j NOTRACK
$I -t raw -A OUTPUT -p udp -j CT --notrack
$I -t raw -A OUTPUT -p tcp -j CT --zone 5
I=ip6tables-$back
$I -A INPUT -p ipv6-icmp --icmpv6-type echo-request -j ACCEPT
$I -A INPUT -p tcp --dport 22 -j ACCEPT
$I -A INPUT -s 2001:db8::/33 -j REJECT
$I -A INPUT -s fe80::1 -i lo -j DROP
$I -A INPUT -p udp -m multiport --sports 53,5353 -j LOG --log-prefix "v6 x"
$I -t nat -A PREROUTING -p tcp --dport 80 -j DNAT --to-destination [2001:db8::1]:8080
iptables-$back -A INPUT -s 10.1.0.0/20 -j ACCEPT
iptables-$back -A INPUT -s 10.1.0.0/255.0.255.0 -j ACCEPT
iptables-$back -A OUTPUT -d 10.1.0.0/20 ! -p tcp -j ACCEPT
done
