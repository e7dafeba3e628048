# The state the lines of `tc` are run in. `try` marks what not every kernel has.
try() { "$@" 2>/dev/null || echo "not in this kernel: $*"; }
echo 0 > /proc/sys/net/ipv6/conf/default/disable_ipv6
echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6
ip link set lo up
ip link add eth0 address 02:00:00:00:00:10 numtxqueues 4 numrxqueues 4 type veth peer name eth0p
ip link set eth0 up
ip link set eth0p up
ip link add p0 type veth peer name p1
ip link set p0 up
ip link set p1 up
for i in 0 1 2 3 4; do ip link add q$i numtxqueues 4 type veth peer name r$i; ip link set q$i up; ip link set r$i up; done
ip tuntap add dev tun0 mode tun
ip link set tun0 up
tc qdisc add dev eth0 root handle 1: htb default 30 r2q 20
tc class add dev eth0 parent 1: classid 1:1 htb rate 100mbit burst 15k
tc class add dev eth0 parent 1:1 classid 1:10 htb rate 50mbit ceil 100mbit burst 15k prio 1
tc class add dev eth0 parent 1:1 classid 1:20 htb rate 30mbit ceil 80mbit quantum 3000
tc class add dev eth0 parent 1:1 classid 1:30 htb rate 1mbit overhead 14
tc qdisc add dev eth0 parent 1:10 handle 10: pfifo limit 50
tc qdisc add dev eth0 parent 1:20 handle 20: tbf rate 10mbit burst 32k latency 50ms
try tc qdisc add dev eth0 parent 1:30 handle 30: fq_codel
tc filter add dev eth0 protocol ip parent 1: prio 1 u32 match ip dport 80 0xffff flowid 1:10
tc filter add dev eth0 protocol ip parent 1: prio 2 u32 match ip src 10.0.0.0/8 match ip protocol 6 0xff flowid 1:20
tc filter add dev eth0 parent 1: protocol ip prio 10 bpf bytecode '1,6 0 0 0' flowid 1:10
tc qdisc add dev p0 clsact
tc qdisc add dev p1 ingress
tc filter add dev p0 egress protocol all prio 2 u32 match u32 0 0 action mirred egress mirror dev p1
try tc filter add dev p0 ingress protocol ip prio 3 matchall action drop
tc qdisc add dev q0 root handle 5: tbf rate 1mbit burst 10k limit 20k peakrate 2mbit mtu 1540
tc qdisc add dev q1 root handle 6: bfifo limit 20000
tc qdisc add dev q2 root handle 7: mq
tc qdisc add dev q3 root pfifo_fast
