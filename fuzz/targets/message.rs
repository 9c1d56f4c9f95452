//! Any octets are met with silence or an answer that another decoder reads, over UDP and TCP.

#![no_main]

use hickory_proto::op::{Message, MessageType};
use libfuzzer_sys::fuzz_target;
use wwwlab_fuzz::ZONES;
use wwwlab_fuzz::dns::message::{LONGEST_MESSAGE, LONGEST_UDP};
use wwwlab_fuzz::ground::bind::Transport;
use wwwlab_fuzz::services::authoritative::answer::answer;

fuzz_target!(|query: &[u8]| {
    let mut reply = Vec::new();
    for (transport, longest) in
        [(Transport::Udp, usize::from(LONGEST_UDP)), (Transport::Tcp, LONGEST_MESSAGE)]
    {
        let Some(finished) = answer(&ZONES, query, transport, &mut reply) else {
            assert!(reply.is_empty());
            continue;
        };
        assert!(reply.len() <= longest, "{} octets over {transport}", reply.len());
        assert_eq!(reply[..2], query[..2]);
        let message = Message::from_vec(&reply).unwrap_or_else(|error| panic!("{error}: {reply:02x?}"));
        assert_eq!(message.metadata.message_type, MessageType::Response);
        assert_eq!(u16::from(message.metadata.response_code), finished.rcode.0);
        assert_eq!(message.answers.len(), usize::from(finished.answers));
    }
});
