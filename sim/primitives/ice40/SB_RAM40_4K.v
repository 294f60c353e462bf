// iCE40's block RAM of 4096 bits, from Lattice's description of it (FPGA-TN-02002): 256 words of 16
// bits, or 512 of 8, which are the even bits of a word and the odd ones. A 1 of MASK keeps a bit as
// it is. A read of the word that is being written, which the description leaves open, is noise.

module SB_RAM40_4K #(
  parameter READ_MODE = 0, parameter WRITE_MODE = 0,
  parameter [255:0] INIT_0 = 0, parameter [255:0] INIT_1 = 0, parameter [255:0] INIT_2 = 0,
  parameter [255:0] INIT_3 = 0, parameter [255:0] INIT_4 = 0, parameter [255:0] INIT_5 = 0,
  parameter [255:0] INIT_6 = 0, parameter [255:0] INIT_7 = 0, parameter [255:0] INIT_8 = 0,
  parameter [255:0] INIT_9 = 0, parameter [255:0] INIT_A = 0, parameter [255:0] INIT_B = 0,
  parameter [255:0] INIT_C = 0, parameter [255:0] INIT_D = 0, parameter [255:0] INIT_E = 0,
  parameter [255:0] INIT_F = 0
) (
  input RCLK, RCLKE, RE, WCLK, WCLKE, WE,
  input [10:0] RADDR, WADDR,
  input [15:0] MASK, WDATA,
  output [15:0] RDATA
);
  generate
    if (READ_MODE > 1 || WRITE_MODE > 1)
      $fatal(1, "SB_RAM40_4K: this model knows words of 16 and of 8 bits only");
  endgenerate

  localparam [4095:0] INIT = {
    INIT_F, INIT_E, INIT_D, INIT_C, INIT_B, INIT_A, INIT_9, INIT_8,
    INIT_7, INIT_6, INIT_5, INIT_4, INIT_3, INIT_2, INIT_1, INIT_0
  };
  localparam [15:0] EVEN = 16'h5555;

  reg [15:0] words [0:255];
  reg [15:0] word = 16'h0000;

  integer i;
  initial
    for (i = 0; i < 256; i = i + 1) words[i] = INIT[16 * i +: 16];

  wire [15:0] half = WDATA & EVEN;
  wire [15:0] keep = WRITE_MODE == 0 ? MASK : WADDR[8] ? EVEN : ~EVEN;
  wire [15:0] data = WRITE_MODE == 0 ? WDATA : half | half << 1;
  wire [15:0] old = words[WADDR[7:0]];
  wire [15:0] read = words[RADDR[7:0]];
  wire writes = WE && WCLKE;
  wire both = writes && RADDR[7:0] == WADDR[7:0];
  wire [15:0] seen = both ? read ^ ~keep : read;   // each bit that is being written, wrong

  always @(posedge WCLK)
    if (writes) words[WADDR[7:0]] <= (old & keep) | (data & ~keep);

  always @(posedge RCLK)
    if (RE && RCLKE) word <= READ_MODE == 0 ? seen : (RADDR[8] ? seen >> 1 : seen) & EVEN;

  assign RDATA = word;
endmodule
