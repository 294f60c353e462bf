    // Samples in and results out, with random pauses. The program and its weights are those of the
    // first run. The table flips the highest bit of each sample.
    reg [8:0] samples [0:SAMPLES-1];     // bit 8: last of its frame
    reg [8:0] results [0:RESULTS-1];
    reg running;
    integer waited;

    initial begin
        running = 0;
        waited = 0;
        forever begin
            @(negedge clk);
            waited = running ? waited + 1 : 0;
            if (waited == LONGEST_RUN) fail("samples and results do not come to an end");
        end
    end

    task send_samples;
        integer number;
        begin
            for (number = 0; number < SAMPLES; number = number + 1) begin
                repeat ($urandom_range(3)) @(negedge clk);
                s_axis_sample_tdata = samples[number][7:0];
                s_axis_sample_tlast = samples[number][8];
                s_axis_sample_tvalid = 1;
                do @(posedge clk); while (!s_axis_sample_tready);
                @(negedge clk);
                s_axis_sample_tvalid = 0;
            end
        end
    endtask

    task take_results;
        integer number;
        begin
            for (number = 0; number < RESULTS; number = number + 1) begin
                repeat ($urandom_range(3)) @(negedge clk);
                m_axis_result_tready = 1;
                do @(posedge clk); while (!m_axis_result_tvalid);
                if ({m_axis_result_tlast, m_axis_result_tdata} != results[number]) begin
                    if (errors == 0)
                        $display("byte %0d of the results is %03x, expected is %03x", number,
                                 {m_axis_result_tlast, m_axis_result_tdata}, results[number]);
                    errors = errors + 1;
                end
                @(negedge clk);
                m_axis_result_tready = 0;
            end
        end
    endtask

    task check_count(input [31:0] offset, input [31:0] expected);
        reg [31:0] found;
        begin
            bus_read(offset, found);
            if (found != expected)
                fail($sformatf("register %03x is %0d, expected is %0d", offset, found, expected));
        end
    endtask

    task run_sensor;
        integer number;
        begin
            $readmemh("samples.hex", samples);
            $readmemh("results.hex", results);
            write_register(IRQ_ENABLE, 0);
            write_register(PROGRAM_ADDRESS, 32'd{{ sensor.program_address }});
            for (number = 0; number < 256; number = number + 1)
                write_register(SENSOR_TABLE, number << 8 | (number ^ 32'h80));
            write_register(SENSOR_INPUT_ADDRESS, 32'd{{ sensor.tensors[0][0] }});
            write_register(SENSOR_INPUT_LENGTH, 32'd{{ sensor.tensors[0][1] }});
            write_register(SENSOR_OUTPUT_ADDRESS, 32'd{{ sensor.tensors[1][0] }});
            write_register(SENSOR_OUTPUT_LENGTH, 32'd{{ sensor.tensors[1][1] }});
            write_register(SENSOR_CONTROL, 7);    // enable, run by itself, table
            running = 1;
            fork
                send_samples;
                take_results;
            join
            running = 0;
            check_count(SENSOR_FRAMES, {{ sensor.results | length }});
            check_count(SENSOR_EARLY, {{ sensor.short | length }});
            check_count(SENSOR_DROPPED, {{ sensor.dropped }});
            check_count(SENSOR_EVENTS, 5);        // tensors were full, and a frame ended early
            write_register(SENSOR_CONTROL, 0);
            $display("sensor: {{ sensor.results | length }} results of {{ sensor.frames | length }} frames");
        end
    endtask
