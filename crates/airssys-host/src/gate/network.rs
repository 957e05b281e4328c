//! Ranges of internet addresses.

use std::net::IpAddr;

use super::address::{canonical, unwrapped};

/// An address range in CIDR notation, on canonical addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Network {
    pub v4: bool,
    pub length: u8,
    pub bits: u128,
}

impl Network {
    /// Read `10.0.0.0/8`, `fd00::/8`, or one address.
    ///
    /// # Errors
    /// Says what is wrong with the text.
    pub fn parse(text: &str) -> Result<Network, String> {
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => {
                let length = length
                    .parse::<u8>()
                    .map_err(|_| format!("`{text}`: the prefix length is not a number"))?;
                (address, Some(length))
            }
            None => (text, None),
        };
        let address: IpAddr = address
            .parse()
            .map_err(|_| format!("`{text}` is not an address or CIDR range"))?;
        let mapped = address.is_ipv6() && canonical(address).is_ipv4();
        let (address, width) = match address {
            IpAddr::V4(_) => (address, 32),
            IpAddr::V6(_) if mapped && length.is_none() => (unwrapped(address), 32),
            IpAddr::V6(_) if mapped => {
                return Err(format!("`{text}`: write the IPv4 range that it stands for"));
            }
            IpAddr::V6(_) => (address, 128),
        };
        let length = length.unwrap_or(width);
        if length > width {
            return Err(format!("`{text}`: the prefix length is above {width}"));
        }
        let whole = Network::of(address);
        let network = Network {
            v4: whole.v4,
            length,
            bits: whole.bits & mask(whole.v4, length),
        };
        if network.bits != whole.bits {
            return Err(format!("`{text}` has bits set beyond its prefix length"));
        }
        Ok(network)
    }

    /// The range of one canonical address.
    pub fn of(address: IpAddr) -> Network {
        match address {
            IpAddr::V4(v4) => Network {
                v4: true,
                length: 32,
                bits: u128::from(v4.to_bits()),
            },
            IpAddr::V6(v6) => Network {
                v4: false,
                length: 128,
                bits: v6.to_bits(),
            },
        }
    }

    pub fn contains(&self, address: IpAddr) -> bool {
        let address = Network::of(address);
        address.v4 == self.v4 && address.bits & mask(self.v4, self.length) == self.bits
    }

    /// The range of `length` bits around this one.
    pub fn widened(self, length: u8) -> Network {
        Network {
            v4: self.v4,
            length,
            bits: self.bits & mask(self.v4, length),
        }
    }
}

fn mask(v4: bool, length: u8) -> u128 {
    let width = if v4 { 32 } else { 128 };
    let all = if v4 { u128::from(u32::MAX) } else { u128::MAX };
    if length == 0 {
        0
    } else {
        all & (all << (width - u32::from(length)))
    }
}

/// The one form of an address to listen on. Unlike for connecting, the unspecified address is itself: it
/// means every interface, not this machine.
pub fn canonical_listen(address: IpAddr) -> IpAddr {
    let bare = unwrapped(address);
    if bare.is_unspecified() {
        bare
    } else {
        canonical(bare)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unspecified_address_stays_itself_to_listen_on() {
        for (address, form) in [
            ("0.0.0.0", "0.0.0.0"),
            ("::ffff:0.0.0.0", "0.0.0.0"),
            ("64:ff9b::", "0.0.0.0"),
            ("::", "::"),
            ("127.0.0.1", "127.0.0.1"),
            ("::ffff:127.0.0.1", "127.0.0.1"),
            ("::1", "::1"),
        ] {
            let form: IpAddr = form.parse().unwrap();
            assert_eq!(
                canonical_listen(address.parse().unwrap()),
                form,
                "{address}"
            );
        }
    }
}
