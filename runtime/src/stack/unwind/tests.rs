//! Expressions of the tables, which compilers write for few functions.

use super::*;
use gimli::{Encoding, Expression, Format};

/// What the expression comes to, for a thread whose stack pointer is 1000, with 77 and 78 on its stack.
fn result(bytes: &[u8], initial: Option<u64>) -> Option<u64> {
    let mut registers = [0; REGISTERS];
    registers[SP] = 1000;
    let frame = Frame {
        registers,
        is_exact: true,
    };
    let memory = Memory {
        from: 1000,
        words: &[77, 78],
    };
    let encoding = Encoding {
        address_size: WORD as u8,
        format: Format::Dwarf32,
        version: 4,
    };
    let expression = Expression(EndianSlice::new(bytes, NativeEndian));
    frame.evaluate(expression.evaluation(encoding), initial, &memory)
}

/// Operations of DWARF 5, section 7.7.1.
const DEREF: u8 = 0x06;
const PLUS_CONSTANT: u8 = 0x23;
const SKIP: u8 = 0x2f;
const LITERAL_5: u8 = 0x35;
const STACK_POINTER_PLUS: u8 = 0x70 + SP as u8;
const REGISTER_20_PLUS: u8 = 0x70 + 20;
const PIECE: u8 = 0x93;
const DEREF_SIZE: u8 = 0x94;
const CALL_FRAME_CFA: u8 = 0x9c;
const STACK_VALUE: u8 = 0x9f;

#[test]
fn expressions_come_to_an_address_or_to_nothing() {
    let table: [(&[u8], Option<u64>, Option<u64>); 11] = [
        (&[STACK_POINTER_PLUS, 8], None, Some(1008)),
        (&[STACK_POINTER_PLUS, 8, DEREF], None, Some(78)),
        (&[PLUS_CONSTANT, 16], Some(100), Some(116)),
        // Beyond the copy of the stack, and between two words.
        (&[STACK_POINTER_PLUS, 16, DEREF], None, None),
        (&[STACK_POINTER_PLUS, 4, DEREF], None, None),
        // Half a word; a register of no interest; what is not for tables of frames.
        (&[STACK_POINTER_PLUS, 0, DEREF_SIZE, 4], None, None),
        (&[REGISTER_20_PLUS, 0], None, None),
        (&[CALL_FRAME_CFA], None, None),
        // A value that is nowhere, and one that is in two places.
        (&[LITERAL_5, STACK_VALUE], None, None),
        (
            &[
                STACK_POINTER_PLUS,
                0,
                PIECE,
                4,
                STACK_POINTER_PLUS,
                0,
                PIECE,
                4,
            ],
            None,
            None,
        ),
        // Back to itself for ever.
        (&[SKIP, 0xfd, 0xff], None, None),
    ];
    for (bytes, initial, expected) in table {
        assert_eq!(result(bytes, initial), expected, "{bytes:x?}");
    }
}
