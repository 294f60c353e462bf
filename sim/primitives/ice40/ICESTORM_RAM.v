// A block RAM of iCE40 as nextpnr packs it: SB_RAM40_4K with a pin for each bit. An input without a
// wire is 0, an enable of a clock 1.

module ICESTORM_RAM #(
  parameter READ_MODE = 0, parameter WRITE_MODE = 0,
  parameter NEG_CLK_R = 0, parameter NEG_CLK_W = 0,
  parameter [255:0] INIT_0 = 0, parameter [255:0] INIT_1 = 0,
  parameter [255:0] INIT_2 = 0, parameter [255:0] INIT_3 = 0,
  parameter [255:0] INIT_4 = 0, parameter [255:0] INIT_5 = 0,
  parameter [255:0] INIT_6 = 0, parameter [255:0] INIT_7 = 0,
  parameter [255:0] INIT_8 = 0, parameter [255:0] INIT_9 = 0,
  parameter [255:0] INIT_A = 0, parameter [255:0] INIT_B = 0,
  parameter [255:0] INIT_C = 0, parameter [255:0] INIT_D = 0,
  parameter [255:0] INIT_E = 0, parameter [255:0] INIT_F = 0
) (
  input RCLK, RE, WCLK, WE, input RCLKE = 1'b1, WCLKE = 1'b1,
  input
    RADDR_10, RADDR_9, RADDR_8, RADDR_7, RADDR_6, RADDR_5, RADDR_4, RADDR_3, RADDR_2, RADDR_1,
    RADDR_0,
  input
    WADDR_10, WADDR_9, WADDR_8, WADDR_7, WADDR_6, WADDR_5, WADDR_4, WADDR_3, WADDR_2, WADDR_1,
    WADDR_0,
  input
    MASK_15, MASK_14, MASK_13, MASK_12, MASK_11, MASK_10, MASK_9, MASK_8, MASK_7, MASK_6, MASK_5,
    MASK_4, MASK_3, MASK_2, MASK_1, MASK_0,
  input
    WDATA_15, WDATA_14, WDATA_13, WDATA_12, WDATA_11, WDATA_10, WDATA_9, WDATA_8, WDATA_7, WDATA_6,
    WDATA_5, WDATA_4, WDATA_3, WDATA_2, WDATA_1, WDATA_0,
  output
    RDATA_15, RDATA_14, RDATA_13, RDATA_12, RDATA_11, RDATA_10, RDATA_9, RDATA_8, RDATA_7, RDATA_6,
    RDATA_5, RDATA_4, RDATA_3, RDATA_2, RDATA_1, RDATA_0
);
  generate
    if (NEG_CLK_R != 0 || NEG_CLK_W != 0)
      $fatal(1, "ICESTORM_RAM: this model knows the rising edge only");
  endgenerate

  SB_RAM40_4K #(
    .READ_MODE(READ_MODE), .WRITE_MODE(WRITE_MODE),
    .INIT_0(INIT_0), .INIT_1(INIT_1), .INIT_2(INIT_2), .INIT_3(INIT_3),
    .INIT_4(INIT_4), .INIT_5(INIT_5), .INIT_6(INIT_6), .INIT_7(INIT_7),
    .INIT_8(INIT_8), .INIT_9(INIT_9), .INIT_A(INIT_A), .INIT_B(INIT_B),
    .INIT_C(INIT_C), .INIT_D(INIT_D), .INIT_E(INIT_E), .INIT_F(INIT_F)
  ) block (
    .RCLK(RCLK), .RCLKE(RCLKE), .RE(RE), .WCLK(WCLK), .WCLKE(WCLKE), .WE(WE),
    .RADDR({
      RADDR_10, RADDR_9, RADDR_8, RADDR_7, RADDR_6, RADDR_5, RADDR_4, RADDR_3, RADDR_2, RADDR_1,
      RADDR_0}),
    .WADDR({
      WADDR_10, WADDR_9, WADDR_8, WADDR_7, WADDR_6, WADDR_5, WADDR_4, WADDR_3, WADDR_2, WADDR_1,
      WADDR_0}),
    .MASK({
      MASK_15, MASK_14, MASK_13, MASK_12, MASK_11, MASK_10, MASK_9, MASK_8, MASK_7, MASK_6, MASK_5,
      MASK_4, MASK_3, MASK_2, MASK_1, MASK_0}),
    .WDATA({
      WDATA_15, WDATA_14, WDATA_13, WDATA_12, WDATA_11, WDATA_10, WDATA_9, WDATA_8, WDATA_7,
      WDATA_6, WDATA_5, WDATA_4, WDATA_3, WDATA_2, WDATA_1, WDATA_0}),
    .RDATA({
      RDATA_15, RDATA_14, RDATA_13, RDATA_12, RDATA_11, RDATA_10, RDATA_9, RDATA_8, RDATA_7,
      RDATA_6, RDATA_5, RDATA_4, RDATA_3, RDATA_2, RDATA_1, RDATA_0})
  );
endmodule
