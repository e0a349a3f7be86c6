//! From a snapshot of a thread to the addresses of its frames.
//!
//! The tables say for each address of the program how to compute the caller's registers from those at this address: the *canonical frame address*, which is
//! the caller's stack pointer, and where the others were saved relative to it (DWARF 5, section 6.4; `gimli` reads them). That is done over
//! and over, from the registers of the snapshot, with its copy of the stack for memory, until something is missing: a table, a word beyond the copy, or a
//! caller. Wrong tables give wrong frames, and nothing worse.

use super::objects::{self, Object};
use gimli::{
    BaseAddresses, CfaRule, EhFrame, EhFrameHdr, EndianSlice, Evaluation, EvaluationResult,
    Location, NativeEndian, Pointer, Register, RegisterRule, UnwindContext, UnwindExpression,
    UnwindSection as _, Value,
};

/// How many registers the tables of x86-64 speak of, as far as they are needed.
pub(super) const REGISTERS: usize = 17;
/// The number of the stack pointer.
pub(super) const SP: usize = 7;
/// The number of the return address: where the caller goes on; in a snapshot, where the thread is.
pub(super) const PC: usize = 16;
/// How many frames are walked. What is further out is hardly the culprit; twice as many as are shown, for those that are left out.
const FRAMES: usize = 64;
/// How many steps an expression in a table may have. Those that occur have fewer than ten.
const STEPS: u32 = 1_000;
/// The size of an address in the tables.
const WORD: usize = size_of::<u64>();

/// Bytes of a table.
type Bytes<'a> = EndianSlice<'a, NativeEndian>;

/// What a thread had at one moment.
pub(super) struct Snapshot {
    /// Its registers.
    pub(super) registers: [u64; REGISTERS],
    /// Its stack, from the stack pointer upwards.
    pub(super) stack: Vec<u64>,
}

/// The addresses to look up for the frames, innermost first: where the thread is, and the calls that led there.
pub(super) fn walk(snapshot: &Snapshot) -> Vec<usize> {
    let memory = Memory {
        from: snapshot.registers[SP],
        words: &snapshot.stack,
    };
    let mut frame = Frame {
        registers: snapshot.registers,
        is_exact: true,
    };
    let mut addresses = Vec::new();
    while addresses.len() < FRAMES
        && let Some(address) = frame.address()
    {
        addresses.push(address);
        match objects::at(address, |object| frame.caller(address, object, &memory)) {
            Some(caller) => frame = caller,
            None => break,
        }
    }
    addresses
}

/// The copy of a stack.
struct Memory<'a> {
    /// The address of its first word.
    from: u64,
    /// The words.
    words: &'a [u64],
}

impl Memory<'_> {
    /// The word at an address.
    fn read(&self, address: u64) -> Option<u64> {
        let offset = usize::try_from(address.checked_sub(self.from)?).ok()?;
        if !offset.is_multiple_of(WORD) {
            return None;
        }
        self.words.get(offset / WORD).copied()
    }
}

/// A function that has not returned.
struct Frame {
    /// What it will find in the registers when its callee returns.
    registers: [u64; REGISTERS],
    /// It was interrupted at its address, rather than has called from before it.
    is_exact: bool,
}

impl Frame {
    /// An address within the instruction at which the function is; `None` beyond the outermost one.
    fn address(&self) -> Option<usize> {
        // A call is before the address to which it returns, which may be in the next line or even function.
        let address = self.registers[PC].checked_sub(u64::from(!self.is_exact))?;
        usize::try_from(address)
            .ok()
            .filter(|&address| address != 0)
    }

    /// The function that has called this one, which is at `address` in `object`.
    fn caller(&self, address: usize, object: &Object<'_>, memory: &Memory<'_>) -> Option<Frame> {
        let at = object.index()?;
        let bases = BaseAddresses::default().set_eh_frame_hdr(at as u64);
        let index = EhFrameHdr::new(object.bytes_from(at)?, NativeEndian);
        let index = index.parse(&bases, WORD as u8).ok()?;
        let Pointer::Direct(at) = index.eh_frame_ptr() else {
            return None;
        };
        let bases = bases.set_eh_frame(at);
        let tables = EhFrame::new(object.bytes_from(usize::try_from(at).ok()?)?, NativeEndian);
        let address = address as u64;
        let entry = index
            .table()?
            .fde_for_address(&tables, &bases, address, EhFrame::cie_from_offset)
            .ok()?;
        let mut context = UnwindContext::new();
        let row = entry
            .unwind_info_for_address(&tables, &bases, &mut context, address)
            .ok()?;

        let evaluate = |expression: &UnwindExpression<usize>, initial| {
            let expression = expression.get(&tables).ok()?;
            let evaluation = expression.evaluation(entry.cie().encoding());
            self.evaluate(evaluation, initial, memory)
        };
        let cfa = match row.cfa() {
            CfaRule::RegisterAndOffset { register, offset } => {
                self.get(*register)?.wrapping_add_signed(*offset)
            }
            CfaRule::Expression(expression) => evaluate(expression, None)?,
        };
        // Stacks grow downwards; an interrupted function may have had another one.
        let is_interruption = entry.is_signal_trampoline();
        if cfa <= self.registers[SP] && !is_interruption {
            return None;
        }
        let mut registers = self.registers;
        registers[SP] = cfa;
        // The outermost function has no rule for it, or one that says so.
        registers[PC] = 0;
        for (register, rule) in row.registers() {
            let value = match rule {
                RegisterRule::Undefined if usize::from(register.0) == PC => return None,
                RegisterRule::Undefined | RegisterRule::SameValue => self.get(*register),
                RegisterRule::Offset(offset) => memory.read(cfa.wrapping_add_signed(*offset)),
                RegisterRule::ValOffset(offset) => Some(cfa.wrapping_add_signed(*offset)),
                RegisterRule::Register(other) => self.get(*other),
                RegisterRule::Expression(place) => memory.read(evaluate(place, Some(cfa))?),
                RegisterRule::ValExpression(value) => evaluate(value, Some(cfa)),
                RegisterRule::Constant(value) => Some(*value),
                _ => None,
            };
            // Vector registers are of no interest.
            if let Some(register) = registers.get_mut(usize::from(register.0)) {
                *register = value?;
            }
        }
        Some(Frame {
            registers,
            is_exact: is_interruption,
        })
    }

    fn get(&self, register: Register) -> Option<u64> {
        self.registers.get(usize::from(register.0)).copied()
    }

    /// The result of an expression, which begins with `initial` on its stack.
    fn evaluate(
        &self,
        mut evaluation: Evaluation<Bytes<'_>>,
        initial: Option<u64>,
        memory: &Memory<'_>,
    ) -> Option<u64> {
        evaluation.set_max_iterations(STEPS);
        if let Some(initial) = initial {
            evaluation.set_initial_value(initial);
        }
        let mut state = evaluation.evaluate();
        loop {
            state = match state.ok()? {
                EvaluationResult::Complete => break,
                EvaluationResult::RequiresRegister { register, .. } => {
                    let value = self.get(register)?;
                    evaluation.resume_with_register(Value::Generic(value))
                }
                EvaluationResult::RequiresMemory { address, size, .. }
                    if usize::from(size) == WORD =>
                {
                    let value = memory.read(address)?;
                    evaluation.resume_with_memory(Value::Generic(value))
                }
                _ => return None,
            };
        }
        match evaluation.as_result() {
            [piece] => match piece.location {
                Location::Address { address } => Some(address),
                _ => None,
            },
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
