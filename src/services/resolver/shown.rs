//! One record as a zone file writes it, also of a type that hickory has no form for: those it shows as base64.

use hickory_proto::rr::{RData, Record};

use crate::dns::rdata::Shown;
use crate::dns::types::RecordType;

use super::cache::type_name;

/// `NAME TTL CLASS TYPE DATA`.
pub(super) fn shown(record: &Record) -> String {
    let RData::Unknown { code, rdata } = &record.data else {
        return record.to_string();
    };
    let data = Shown { record_type: RecordType(u16::from(*code)), data: &rdata.anything };
    format!("{} {} {} {} {data}", record.name, record.ttl, record.dns_class, type_name(*code))
}

#[cfg(test)]
mod tests {
    use hickory_proto::rr::Name;
    use hickory_proto::rr::rdata::NULL;

    use super::*;

    #[test]
    fn types_without_a_form_are_shown_as_a_zone_file_writes_them() {
        let of_type = |number: u16, octets: &[u8]| {
            let name = Name::from_ascii("old.foobar.com.").unwrap();
            let data = RData::Unknown { code: number.into(), rdata: NULL::with(octets.to_vec()) };
            shown(&Record::from_rdata(name, 300, data))
        };
        assert_eq!(of_type(39, b"\x03new\0"), "old.foobar.com. 300 IN DNAME new.");
        assert_eq!(of_type(39, b"\x03ne"), "old.foobar.com. 300 IN DNAME \\# 3 036E65");
        assert_eq!(of_type(65280, b"\xAB"), "old.foobar.com. 300 IN TYPE65280 \\# 1 AB");
    }
}
