//! How the mutants' DAG store records an output.

use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use deriva_api::{CAddr, Divergence, Output, Result};

use super::disk::{Disk, OUTPUTS, RECIPES, key};
use super::list::Break;
use super::store::Store;

impl Store {
    pub(super) fn record_one(
        &self,
        disk: &mut Disk,
        addr: CAddr,
        offered: Output,
    ) -> Result<Option<Divergence>> {
        let row = key(OUTPUTS, &[addr.as_bytes()]);
        let recorded = disk.get(OUTPUTS, addr).map(read_output).transpose()?;
        let is_recipe = disk.get(RECIPES, addr).is_some();
        let Some(recorded) = recorded else {
            disk.put(row, self.kept_output(offered));
            let counted = is_recipe || self.broken(Break::counts_resolved_outputs);
            disk.dag_usage.outputs += u64::from(counted);
            return Ok(None);
        };
        if self.broken(Break::divergence_overwrites) {
            disk.put(row, self.kept_output(offered));
        }
        let same = match self.broken(Break::compares_costs) {
            true => recorded == offered,
            false => recorded.same_bytes(&offered) || self.broken(Break::divergence_is_silent),
        };
        Ok((!same).then_some(Divergence {
            addr,
            recorded,
            offered,
        }))
    }

    fn kept_output(&self, mut output: Output) -> Bytes {
        if self.broken(Break::keeps_lengths_in_32_bits) {
            output.len = u64::from(output.len as u32);
        }
        if self.broken(Break::keeps_costs_in_microseconds) {
            output.cost = Duration::from_micros(output.cost.as_micros() as u64);
        }
        if self.broken(Break::keeps_lengths_in_63_bits) {
            output.len &= u64::MAX >> 1;
        }
        if self.broken(Break::wraps_long_costs) {
            output.cost = Duration::from_nanos(output.cost.as_nanos() as u64);
        }
        write_output(&output)
    }
}

pub(super) fn write_output(output: &Output) -> Bytes {
    let mut row = BytesMut::from(output.addr.as_bytes().as_slice());
    row.put_u64_le(output.len);
    row.put_u64_le(u64::try_from(output.cost.as_nanos()).unwrap_or(u64::MAX));
    row.freeze()
}

pub(super) fn read_output(row: &Bytes) -> Result<Output> {
    let mut row = row.clone();
    let addr = CAddr::from_slice(&row.split_to(CAddr::LEN))?;
    let (len, nanos) = (row.get_u64_le(), row.get_u64_le());
    let cost = Duration::from_nanos(nanos);
    Ok(Output { addr, len, cost })
}
