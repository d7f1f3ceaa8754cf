use proptest::prelude::*;

use super::*;

proptest! {
    #[test]
    fn ipv4_is_read_as_the_standard_library_reads_it(text in "[0-9]{0,4}(\\.[0-9]{0,4}){2,4}") {
        prop_assert_eq!(v4(text.as_bytes()), text.parse().ok());
    }

    #[test]
    fn every_ipv4_address_is_read(bits in any::<u32>()) {
        let address = Ipv4Addr::from_bits(bits);
        prop_assert_eq!(v4(address.to_string().as_bytes()), Some(address));
    }
}

#[test]
fn what_is_nearly_an_address_is_none() {
    for text in [
        "",
        ".",
        "1.2.3",
        "1.2.3.",
        "1.2.3.4.",
        "1.2.3.4.5",
        "01.2.3.4",
        "256.1.1.1",
        "1.2.3.999",
        "1 .2.3.4",
        "+1.2.3.4",
    ] {
        assert_eq!(v4(text.as_bytes()), None, "{text}");
    }
}
