"""Decide whether an IP address is public. Addresses that no rule knows are not."""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final

# The IANA IPv4 Special-Purpose Address Registry (RFC 6890), multicast, and the future-use block with the broadcast
# address. Anycast of protocols is left out too: nothing there is a web site.
SPECIAL_IPV4: Final = tuple(
    IPv4Network(block)
    for block in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",  # shared by carriers; clouds have metadata services there, such as 100.100.100.200
        "127.0.0.0/8",
        "168.63.129.16/32",  # a host service of Azure, at an address that looks public
        "169.254.0.0/16",  # link-local; 169.254.169.254 is the metadata service of most clouds
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.31.196.0/24",
        "192.52.193.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "192.175.48.0/24",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
    )
)
# Only this block is assigned for global unicast (RFC 4291). All local addresses are outside of it (loopback, fe80::/10,
# fc00::/7 with fd00:ec2::254). So are those that embed an IPv4 address (mapped, compatible, NAT64), except 6to4 and
# Teredo.
GLOBAL_IPV6: Final = IPv6Network("2000::/3")
SPECIAL_IPV6: Final = tuple(
    IPv6Network(block)
    for block in (
        "2001::/23",  # protocol assignments, with Teredo, ORCHID and benchmarks
        "2001:db8::/32",
        "2002::/16",  # 6to4, which leads to the IPv4 address in it
        "2620:4f:8000::/48",
        "3fff::/20",
    )
)


def is_public(text: str) -> bool:
    """Return whether a text is an IP address in its usual form at which a public web site can be."""
    try:
        # A scope, as in fe80::1%eth0, is only for addresses of this machine's links.
        address = ip_address(text) if "%" not in text else None
    except ValueError:
        return False
    if isinstance(address, IPv4Address):
        return not any(address in block for block in SPECIAL_IPV4)
    if isinstance(address, IPv6Address):
        return address in GLOBAL_IPV6 and not any(address in block for block in SPECIAL_IPV6)
    return False
