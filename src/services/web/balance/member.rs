//! An application server among several, as it is given on the command line.

use std::net::SocketAddr;

/// The largest weight.
const WEIGHT_MOST: u32 = 100;

/// One of them: where it is, and how much it gets of the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    /// Where it listens.
    pub address: SocketAddr,
    /// Its share, beside the others': 1 to 100.
    pub weight: u32,
}

impl Member {
    /// Reads `ADDRESS:PORT` or `ADDRESS:PORT,weight=N`.
    pub(in crate::services::web) fn parse(text: &str) -> Result<Self, String> {
        let (address, weight) = match text.split_once(',') {
            None => (text, 1),
            Some((address, rest)) => {
                let weight = rest.strip_prefix("weight=").ok_or("write it as ADDRESS:PORT,weight=N")?;
                (address, weight.parse().map_err(|_| format!("{weight:?} is no weight: 1 to {WEIGHT_MOST}"))?)
            }
        };
        if !(1..=WEIGHT_MOST).contains(&weight) {
            return Err(format!("a weight is from 1 to {WEIGHT_MOST}, not {weight}"));
        }
        let address = address.parse().map_err(|_| format!("{address:?} is not ADDRESS:PORT"))?;
        Ok(Self { address, weight })
    }
}

impl From<SocketAddr> for Member {
    fn from(address: SocketAddr) -> Self {
        Self { address, weight: 1 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_is_an_address_and_perhaps_a_weight() {
        let address = "127.0.0.1:3000".parse().unwrap();
        assert_eq!(Member::parse("127.0.0.1:3000"), Ok(Member { address, weight: 1 }));
        assert_eq!(Member::parse("127.0.0.1:3000,weight=100"), Ok(Member { address, weight: 100 }));
        for wrong in ["", "3000", "localhost:3000", "127.0.0.1:3000,", "127.0.0.1:3000,weight=0"] {
            assert!(Member::parse(wrong).is_err(), "{wrong}");
        }
        for wrong in ["weight=101", "weight=-1", "wait=1", "weight=1,weight=2"] {
            assert!(Member::parse(&format!("127.0.0.1:3000,{wrong}")).is_err(), "{wrong}");
        }
    }
}
