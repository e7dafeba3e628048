ip link set lo up
ip link add v0 type veth peer name v1
ip addr add 198.51.100.1/24 dev v0
ip addr add 2001:db8::1/64 dev v0 nodad
ip link set v0 up
ip link set v1 up
ip neigh add 198.51.100.77 lladdr 02:00:00:00:00:77 dev v0
ip route add 203.0.113.0/24 via 198.51.100.77
ip route add default via 198.51.100.77 metric 50
