// ECP5's block RAM, from Lattice's memory guide (FPGA-TN-02204): 1024 words of 18 bits, which both
// sides read and write, or 512 of 36, which side A writes and side B reads, through the data pins
// of both. A word comes behind the clock edge, with OUTREG another edge of that clock later. A side
// of 9 bits takes a half of a word, one of 1, 2 or 4 bits a part of the lower 8 of a half, at the
// lowest data pins, as yosys connects them; wider ones have a bit of the address for each 9 bits
// that are written. What the guide leaves open is noise: bits that one side reads while the other
// one writes them.

module DP16KD #(
  parameter DATA_WIDTH_A = 18, parameter DATA_WIDTH_B = 18, parameter REGMODE_A = "NOREG",
  parameter REGMODE_B = "NOREG", parameter RESETMODE = "SYNC",
  parameter ASYNC_RESET_RELEASE = "SYNC", parameter CSDECODE_A = "0b000",
  parameter CSDECODE_B = "0b000", parameter WRITEMODE_A = "NORMAL",
  parameter WRITEMODE_B = "NORMAL", parameter GSR = "ENABLED", parameter WID = 0,
  parameter CLKAMUX = "CLKA", parameter CLKBMUX = "CLKB",
  parameter [319:0] INITVAL_00 = 0, parameter [319:0] INITVAL_01 = 0,
  parameter [319:0] INITVAL_02 = 0, parameter [319:0] INITVAL_03 = 0,
  parameter [319:0] INITVAL_04 = 0, parameter [319:0] INITVAL_05 = 0,
  parameter [319:0] INITVAL_06 = 0, parameter [319:0] INITVAL_07 = 0,
  parameter [319:0] INITVAL_08 = 0, parameter [319:0] INITVAL_09 = 0,
  parameter [319:0] INITVAL_0A = 0, parameter [319:0] INITVAL_0B = 0,
  parameter [319:0] INITVAL_0C = 0, parameter [319:0] INITVAL_0D = 0,
  parameter [319:0] INITVAL_0E = 0, parameter [319:0] INITVAL_0F = 0,
  parameter [319:0] INITVAL_10 = 0, parameter [319:0] INITVAL_11 = 0,
  parameter [319:0] INITVAL_12 = 0, parameter [319:0] INITVAL_13 = 0,
  parameter [319:0] INITVAL_14 = 0, parameter [319:0] INITVAL_15 = 0,
  parameter [319:0] INITVAL_16 = 0, parameter [319:0] INITVAL_17 = 0,
  parameter [319:0] INITVAL_18 = 0, parameter [319:0] INITVAL_19 = 0,
  parameter [319:0] INITVAL_1A = 0, parameter [319:0] INITVAL_1B = 0,
  parameter [319:0] INITVAL_1C = 0, parameter [319:0] INITVAL_1D = 0,
  parameter [319:0] INITVAL_1E = 0, parameter [319:0] INITVAL_1F = 0,
  parameter [319:0] INITVAL_20 = 0, parameter [319:0] INITVAL_21 = 0,
  parameter [319:0] INITVAL_22 = 0, parameter [319:0] INITVAL_23 = 0,
  parameter [319:0] INITVAL_24 = 0, parameter [319:0] INITVAL_25 = 0,
  parameter [319:0] INITVAL_26 = 0, parameter [319:0] INITVAL_27 = 0,
  parameter [319:0] INITVAL_28 = 0, parameter [319:0] INITVAL_29 = 0,
  parameter [319:0] INITVAL_2A = 0, parameter [319:0] INITVAL_2B = 0,
  parameter [319:0] INITVAL_2C = 0, parameter [319:0] INITVAL_2D = 0,
  parameter [319:0] INITVAL_2E = 0, parameter [319:0] INITVAL_2F = 0,
  parameter [319:0] INITVAL_30 = 0, parameter [319:0] INITVAL_31 = 0,
  parameter [319:0] INITVAL_32 = 0, parameter [319:0] INITVAL_33 = 0,
  parameter [319:0] INITVAL_34 = 0, parameter [319:0] INITVAL_35 = 0,
  parameter [319:0] INITVAL_36 = 0, parameter [319:0] INITVAL_37 = 0,
  parameter [319:0] INITVAL_38 = 0, parameter [319:0] INITVAL_39 = 0,
  parameter [319:0] INITVAL_3A = 0, parameter [319:0] INITVAL_3B = 0,
  parameter [319:0] INITVAL_3C = 0, parameter [319:0] INITVAL_3D = 0,
  parameter [319:0] INITVAL_3E = 0, parameter [319:0] INITVAL_3F = 0
) (
  input
    DIA17, DIA16, DIA15, DIA14, DIA13, DIA12, DIA11, DIA10, DIA9, DIA8, DIA7, DIA6, DIA5, DIA4,
    DIA3, DIA2, DIA1, DIA0,
  input
    DIB17, DIB16, DIB15, DIB14, DIB13, DIB12, DIB11, DIB10, DIB9, DIB8, DIB7, DIB6, DIB5, DIB4,
    DIB3, DIB2, DIB1, DIB0,
  input
    ADA13, ADA12, ADA11, ADA10, ADA9, ADA8, ADA7, ADA6, ADA5, ADA4, ADA3, ADA2, ADA1, ADA0,
  input
    ADB13, ADB12, ADB11, ADB10, ADB9, ADB8, ADB7, ADB6, ADB5, ADB4, ADB3, ADB2, ADB1, ADB0,
  input CLKA, CEA, OCEA, WEA, RSTA, CSA2, CSA1, CSA0,
  input CLKB, CEB, OCEB, WEB, RSTB, CSB2, CSB1, CSB0,
  output
    DOA17, DOA16, DOA15, DOA14, DOA13, DOA12, DOA11, DOA10, DOA9, DOA8, DOA7, DOA6, DOA5, DOA4,
    DOA3, DOA2, DOA1, DOA0,
  output
    DOB17, DOB16, DOB15, DOB14, DOB13, DOB12, DOB11, DOB10, DOB9, DOB8, DOB7, DOB6, DOB5, DOB4,
    DOB3, DOB2, DOB1, DOB0
);
  localparam WHOLE = DATA_WIDTH_A == 36;

  generate
    if (WHOLE != (DATA_WIDTH_B == 36))
      $fatal(1, "DP16KD: this model knows 36 bits at both sides only");
    if ((REGMODE_A != "NOREG" && REGMODE_A != "OUTREG")
        || (REGMODE_B != "NOREG" && REGMODE_B != "OUTREG") || (WHOLE && REGMODE_A != REGMODE_B))
      $fatal(1, "DP16KD: this model does not know that REGMODE");
    if ((WRITEMODE_A != "NORMAL" && WRITEMODE_A != "READBEFOREWRITE"
         && WRITEMODE_A != "WRITETHROUGH")
        || (WRITEMODE_B != "NORMAL" && WRITEMODE_B != "READBEFOREWRITE"
            && WRITEMODE_B != "WRITETHROUGH") || (WHOLE && WRITEMODE_A != "NORMAL"))
      $fatal(1, "DP16KD: this model does not know that WRITEMODE");
    if (CSDECODE_A != "0b000" || CSDECODE_B != "0b000" || GSR == "ENABLED")
      $fatal(1, "DP16KD: this model knows neither CSDECODE nor a global reset");
    if (CLKAMUX != "CLKA" || CLKBMUX != "CLKB")
      $fatal(1, "DP16KD: this model knows the rising edge only");
  endgenerate

  localparam [64 * 320 - 1:0] INIT = {
    INITVAL_3F, INITVAL_3E, INITVAL_3D, INITVAL_3C, INITVAL_3B, INITVAL_3A, INITVAL_39, INITVAL_38,
    INITVAL_37, INITVAL_36, INITVAL_35, INITVAL_34, INITVAL_33, INITVAL_32, INITVAL_31, INITVAL_30,
    INITVAL_2F, INITVAL_2E, INITVAL_2D, INITVAL_2C, INITVAL_2B, INITVAL_2A, INITVAL_29, INITVAL_28,
    INITVAL_27, INITVAL_26, INITVAL_25, INITVAL_24, INITVAL_23, INITVAL_22, INITVAL_21, INITVAL_20,
    INITVAL_1F, INITVAL_1E, INITVAL_1D, INITVAL_1C, INITVAL_1B, INITVAL_1A, INITVAL_19, INITVAL_18,
    INITVAL_17, INITVAL_16, INITVAL_15, INITVAL_14, INITVAL_13, INITVAL_12, INITVAL_11, INITVAL_10,
    INITVAL_0F, INITVAL_0E, INITVAL_0D, INITVAL_0C, INITVAL_0B, INITVAL_0A, INITVAL_09, INITVAL_08,
    INITVAL_07, INITVAL_06, INITVAL_05, INITVAL_04, INITVAL_03, INITVAL_02, INITVAL_01, INITVAL_00
  };

  wire [13:0] address_a = {
    ADA13, ADA12, ADA11, ADA10, ADA9, ADA8, ADA7, ADA6, ADA5, ADA4, ADA3, ADA2, ADA1, ADA0
  };
  wire [13:0] address_b = {
    ADB13, ADB12, ADB11, ADB10, ADB9, ADB8, ADB7, ADB6, ADB5, ADB4, ADB3, ADB2, ADB1, ADB0
  };
  wire [17:0] data_a = {
    DIA17, DIA16, DIA15, DIA14, DIA13, DIA12, DIA11, DIA10, DIA9, DIA8, DIA7, DIA6, DIA5, DIA4,
    DIA3, DIA2, DIA1, DIA0
  };
  wire [17:0] data_b = {
    DIB17, DIB16, DIB15, DIB14, DIB13, DIB12, DIB11, DIB10, DIB9, DIB8, DIB7, DIB6, DIB5, DIB4,
    DIB3, DIB2, DIB1, DIB0
  };

  reg [17:0] words [0:1023];
  reg [17:0] latch_a = 18'h0, latch_b = 18'h0, register_a = 18'h0, register_b = 18'h0;

  integer i;
  initial
    for (i = 0; i < 1024; i = i + 1) words[i] = INIT[20 * i +: 18];

  // Of an access of ``width`` bits: where its lowest bit lies in the word, and which bits it takes.
  function [4:0] lowest(input integer width, input [3:0] low);
    lowest = width >= 18 ? 5'd0 : (low[3] ? 5'd9 : 5'd0)
             + (width == 9 ? 5'd0 : {2'b00, low[2:0]} & ~(width[4:0] - 5'd1));
  endfunction

  function [17:0] taken(input integer width, input [3:0] low);
    taken = width >= 18 ? {{9{low[1]}}, {9{low[0]}}}
            : ((18'd1 << width) - 18'd1) << lowest(width, low);
  endfunction

  function [17:0] part(input integer width, input [3:0] low, input [17:0] word);
    part = width >= 18 ? word : (word >> lowest(width, low)) & ((18'd1 << width) - 18'd1);
  endfunction

  wire writes_a = CEA && WEA, writes_b = CEB && WEB;
  wire [9:0] row_a = address_a[13:4], row_b = address_b[13:4];
  wire [17:0] mask_a = taken(DATA_WIDTH_A, address_a[3:0]);
  wire [17:0] mask_b = taken(DATA_WIDTH_B, address_b[3:0]);
  wire [17:0] word_a = words[row_a], word_b = words[row_b];
  wire [17:0] new_a =
      (word_a & ~mask_a) | (data_a << lowest(DATA_WIDTH_A, address_a[3:0]) & mask_a);
  wire [17:0] new_b =
      (word_b & ~mask_b) | (data_b << lowest(DATA_WIDTH_B, address_b[3:0]) & mask_b);

  generate
    if (WHOLE) begin : whole
      wire [8:0] pair_a = address_a[13:5], pair_b = address_b[13:5];
      wire [35:0] mask = {
        {9{address_a[3]}}, {9{address_a[2]}}, {9{address_a[1]}}, {9{address_a[0]}}
      };
      wire [35:0] old = {words[{pair_a, 1'b1}], words[{pair_a, 1'b0}]};
      wire [35:0] written = (old & ~mask) | ({data_b, data_a} & mask);
      wire [35:0] wrong = writes_a && pair_a == pair_b ? mask : 36'h0;

      always @(posedge CLKA)
        if (writes_a) {words[{pair_a, 1'b1}], words[{pair_a, 1'b0}]} <= written;

      always @(posedge CLKB) begin
        if (CEB)
          {latch_b, latch_a} <= {words[{pair_b, 1'b1}], words[{pair_b, 1'b0}]} ^ wrong;
        if (OCEB) {register_b, register_a} <= {latch_b, latch_a};
        if (WEB) $fatal(1, "DP16KD: side B of a block of 36 bits does not write");
        if (REGMODE_B == "OUTREG" && OCEA != OCEB)
          $fatal(1, "DP16KD: the halves of a word of 36 bits have one enable");
      end
    end else begin : halves
      wire [17:0] wrong_a = writes_b && row_a == row_b ? mask_b : 18'h0;
      wire [17:0] wrong_b = writes_a && row_a == row_b ? mask_a : 18'h0;

      always @(posedge CLKA) begin
        if (writes_a) words[row_a] <= new_a;
        if (CEA && !(WEA && WRITEMODE_A == "NORMAL"))
          latch_a <= part(DATA_WIDTH_A, address_a[3:0],
                          (WEA && WRITEMODE_A == "WRITETHROUGH" ? new_a : word_a) ^ wrong_a);
        if (OCEA) register_a <= latch_a;
      end

      always @(posedge CLKB) begin
        if (writes_b) words[row_b] <= new_b;
        if (CEB && !(WEB && WRITEMODE_B == "NORMAL"))
          latch_b <= part(DATA_WIDTH_B, address_b[3:0],
                          (WEB && WRITEMODE_B == "WRITETHROUGH" ? new_b : word_b) ^ wrong_b);
        if (OCEB) register_b <= latch_b;
        if (writes_a && writes_b && row_a == row_b)
          $fatal(1, "DP16KD: both sides write one word");
      end
    end
  endgenerate

  always @(posedge CLKA)
    if (RSTA || RSTB || CSA2 || CSA1 || CSA0 || CSB2 || CSB1 || CSB0)
      $fatal(1, "DP16KD: this model does not know resets, and blocks that are not selected");

  assign {
    DOA17, DOA16, DOA15, DOA14, DOA13, DOA12, DOA11, DOA10, DOA9, DOA8, DOA7, DOA6, DOA5, DOA4,
    DOA3, DOA2, DOA1, DOA0
  } = REGMODE_A == "OUTREG" ? register_a : latch_a;
  assign {
    DOB17, DOB16, DOB15, DOB14, DOB13, DOB12, DOB11, DOB10, DOB9, DOB8, DOB7, DOB6, DOB5, DOB4,
    DOB3, DOB2, DOB1, DOB0
  } = REGMODE_B == "OUTREG" ? register_b : latch_b;
endmodule
