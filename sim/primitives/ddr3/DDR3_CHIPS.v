// DDR3 chips and their PHY in place of LiteDRAM's, for simulation: ddr3_chips.h has them.
// A rule of the chips that is broken ends the simulation.

module DDR3_CHIPS #(
  parameter LANES = 2, parameter ROW_PINS = 15, parameter BANK_PINS = 3,
  parameter READ_LATENCY = 13, parameter WRITE_LATENCY = 3, parameter CL = 6, parameter CWL = 5,
  parameter CHIP_KHZ = 100000
) (
  input clk,
  input [1:0] reset_n, cke, cs_n, ras_n, cas_n, we_n,
  input [2*BANK_PINS-1:0] bank,
  input [2*ROW_PINS-1:0] address,
  input [1:0] wrdata_en, rddata_en,
  input [64*LANES-1:0] wrdata,
  input [8*LANES-1:0] wrdata_mask,
  output reg [64*LANES-1:0] rddata,
  output reg [1:0] rddata_valid,
  input [LANES-1:0] lane,
  input delay_reset, delay_next, slip_reset, slip_next, burst_clear,
  output reg [LANES-1:0] burst_seen
);
  import "DPI-C" function chandle kaniwa_ddr3_open(
    input int lanes, input int row_pins, input int bank_pins, input int read_latency,
    input int write_latency, input int cl, input int cwl, input int khz);
  import "DPI-C" function void kaniwa_ddr3_close(input chandle chips);
  import "DPI-C" function int kaniwa_ddr3_cycle(
    input chandle chips, input int levels, input int banks, input int address_0,
    input int address_1, input bit [511:0] data, input bit [63:0] mask, input int lane,
    input int pulses, output bit [511:0] read, output int seen);

  chandle chips;
  initial chips = kaniwa_ddr3_open(LANES, ROW_PINS, BANK_PINS, READ_LATENCY, WRITE_LATENCY, CL,
                                   CWL, CHIP_KHZ);
  final kaniwa_ddr3_close(chips);

  bit [511:0] read;
  int seen, result;
  initial begin
    rddata_valid = 0;
    burst_seen = 0;
  end
  always @(posedge clk) begin
    result = kaniwa_ddr3_cycle(
      chips,
      32'({rddata_en, wrdata_en, we_n, cas_n, ras_n, cs_n, cke, reset_n}),
      {16'd0, 8'(bank[2*BANK_PINS-1:BANK_PINS]), 8'(bank[BANK_PINS-1:0])},
      32'(address[ROW_PINS-1:0]), 32'(address[2*ROW_PINS-1:ROW_PINS]), 512'(wrdata),
      64'(wrdata_mask), 32'(lane),
      {27'd0, burst_clear, slip_next, slip_reset, delay_next, delay_reset}, read, seen);
    rddata <= read[64*LANES-1:0];
    rddata_valid <= {2{result == 1}};
    burst_seen <= seen[LANES-1:0];
    if (result == 2) $error("a rule of the DDR3 chips is broken");
  end
endmodule
